"""CPU and memory "devices" of a size taken from the agent config."""

from __future__ import annotations

import os
import platform
from decimal import Decimal

import psutil

from ai.backend.agent import __version__
from ai.backend.agent.resources import (
    AbstractComputeDevice,
    AbstractComputePlugin,
    DeviceSlotInfo,
    DiscretePropertyAllocMap,
)
from ai.backend.agent.stats import Measurement, MetricTypes, NodeMeasurement
from ai.backend.common.types import BinarySize, DeviceId, DeviceName, MetricKey, SlotName, SlotTypes


class Device(AbstractComputeDevice):
    pass


class IntrinsicPlugin(AbstractComputePlugin):
    config_watch_enabled = False
    exclusive_slot_types: set[str] = set()
    slot: SlotName
    slot_type: SlotTypes
    label: str
    unit: str

    def device_list(self) -> list[tuple[str, int]]:
        """(device id, capacity) pairs"""
        raise NotImplementedError

    async def init(self, context=None) -> None:
        pass

    async def cleanup(self) -> None:
        pass

    async def update_plugin_config(self, new_plugin_config) -> None:
        pass

    async def list_devices(self):
        is_mem = self.key == "mem"
        return [
            Device(
                device_id=DeviceId(dev_id),
                device_name=self.key,
                hw_location="root",
                numa_node=0,
                memory_size=capacity if is_mem else 0,
                processing_units=0 if is_mem else capacity,
            )
            for dev_id, capacity in self.device_list()
        ]

    async def available_slots(self):
        return {self.slot: Decimal(sum(capacity for _, capacity in self.device_list()))}

    async def create_alloc_map(self):
        return DiscretePropertyAllocMap(
            device_slots={
                DeviceId(dev_id): DeviceSlotInfo(self.slot_type, self.slot, Decimal(capacity))
                for dev_id, capacity in self.device_list()
            },
        )

    async def restore_from_container(self, container, alloc_map) -> None:
        spec = container.backend_obj
        alloc_map.apply_allocation({self.slot: spec.allocations[self.key][self.slot]})

    async def get_attached_devices(self, device_alloc):
        held = device_alloc[self.slot]
        return [{"device_id": dev_id, "model_name": "", "data": {}} for dev_id in held]

    def get_metadata(self):
        return {
            "slot_name": str(self.slot),
            "description": self.label,
            "human_readable_name": self.label,
            "display_unit": self.unit,
            "number_format": {"binary": self.key == "mem", "round_length": 0},
            "display_icon": str(self.key),
        }

    def get_version(self) -> str:
        return __version__

    async def extra_info(self):
        return {"agent_version": __version__, "machine": platform.machine()}

    async def gather_container_measures(self, ctx, container_ids):
        return []

    async def gather_process_measures(self, ctx, pid_map):
        return []

    async def get_hooks(self, distro, arch):
        return []

    async def generate_docker_args(self, docker, device_alloc):
        return {}

    async def get_docker_networks(self, device_alloc):
        return []

    async def generate_mounts(self, source_path, device_alloc):
        return []


class CPUPlugin(IntrinsicPlugin):
    key = DeviceName("cpu")
    slot = SlotName("cpu")
    slot_type = SlotTypes.COUNT
    slot_types = [(slot, slot_type)]
    label, unit = "CPU", "Core"

    def device_list(self):
        return [(str(i), 1) for i in range(int(self.local_config["dummy"]["cpus"]))]

    async def gather_node_measures(self, ctx):
        q = Decimal("0.000")
        _, raw_interval = ctx.update_timestamp("cpu-node")
        interval = Decimal(raw_interval * 1000).quantize(q)
        times = psutil.cpu_times()
        used = (Decimal(times.user + times.system) * 1000).quantize(q)
        return [
            NodeMeasurement(
                MetricKey("cpu_util"),
                MetricTypes.UTILIZATION,
                unit_hint="msec",
                current_hook=lambda metric: metric.stats.diff,
                per_node=Measurement(used, interval),
                per_device={DeviceId("0"): Measurement(used, interval)},
            ),
        ]


class MemoryPlugin(IntrinsicPlugin):
    key = DeviceName("mem")
    slot = SlotName("mem")
    slot_type = SlotTypes.BYTES
    slot_types = [(slot, slot_type)]
    label, unit = "RAM", "GiB"

    def device_list(self):
        return [("root", int(BinarySize.from_str(self.local_config["dummy"]["mem"])))]

    async def gather_node_measures(self, ctx):
        vm = psutil.virtual_memory()
        fs = os.statvfs(self.local_config["dummy"]["cluster-home"])
        mem = Measurement(Decimal(vm.total - vm.available), Decimal(vm.total))
        disk = Measurement(
            Decimal(fs.f_frsize * (fs.f_blocks - fs.f_bavail)),
            Decimal(fs.f_frsize * fs.f_blocks),
        )
        return [
            NodeMeasurement(
                MetricKey("mem"),
                MetricTypes.USAGE,
                unit_hint="bytes",
                stats_filter=frozenset({"max"}),
                per_node=mem,
                per_device={DeviceId("root"): mem},
            ),
            NodeMeasurement(
                MetricKey("disk"),
                MetricTypes.USAGE,
                unit_hint="bytes",
                per_node=disk,
                per_device={DeviceId("root"): disk},
            ),
        ]
