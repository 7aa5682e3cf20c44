"""Packaging: maps folders of the repository to packages below `ai.backend.client`.

`ai` and `ai.backend` stay namespace packages, because other distributions install into them too.
"""

import atexit
import re
import tempfile
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
ROOT_PACKAGE = "ai.backend.client"

# Read as text: importing the package would need its dependencies installed.
VERSION = re.findall(r'__version__ = "(.+)"', (HERE / "client" / "_version.py").read_text("utf-8"))[0]

FOLDERS = {
    ROOT_PACKAGE: "client",
    f"{ROOT_PACKAGE}.actors": "actors",
    f"{ROOT_PACKAGE}.functions": "functions",
    f"{ROOT_PACKAGE}.sessions": "sessions",
    f"{ROOT_PACKAGE}.sandbox": "tools/sandbox",  # works with the extra of that name only
}
PACKAGES = {
    ".".join([package, *init.parent.relative_to(HERE / folder).parts]): str(init.parent.relative_to(HERE))
    for package, folder in FOLDERS.items()
    for init in sorted((HERE / folder).rglob("__init__.py"))
}
SANDBOX_NEEDS = ["aiohttp>=3.9", "graphql-core>=3.3,<4", "PyYAML>=6", "SQLAlchemy>=2.0.15"]

# Every build starts in an empty folder, and leaves none: what an earlier one left would get into the wheel.
BUILD = tempfile.TemporaryDirectory(prefix="actor-client-build-")
atexit.register(BUILD.cleanup)

setup(
    options={"build": {"build_base": BUILD.name}},
    name="backend.ai-actor-client",
    version=VERSION,
    description="Actor-based, concurrent client for the Backend.AI manager API: threads, asyncio and gevent",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    packages=list(PACKAGES),
    package_dir=PACKAGES,
    package_data={ROOT_PACKAGE: ["py.typed"], f"{ROOT_PACKAGE}.sandbox.graphql": ["*.graphql"]},
    zip_safe=False,
    python_requires=">=3.11",
    install_requires=[
        "pykka>=4.5,<5",  # its actor seam is partly private: the tests watch it
        "requests>=2.32.2,<3",  # the first with `get_connection_with_tls_context`
        "urllib3>=2.0.2,<3",
        "gevent>=24.2",
        "structlog>=24.1",
        "tqdm>=4.66",
        "websockets>=13",  # its sans-I/O layer only
    ],
    extras_require={
        "sandbox": SANDBOX_NEEDS,
        "test": [
            *SANDBOX_NEEDS,
            "freezegun>=1.5",
            "pytest>=8.2",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "responses>=0.25",
            "trustme>=1.1",
            "uvloop>=0.19",
        ],
        "dev": ["build>=1.2", "mypy>=1.11", "ruff>=0.8", "types-PyYAML>=6", "types-requests>=2.32", "types-tqdm>=4.66"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: Implementation :: CPython",
        "Typing :: Typed",
    ],
)
