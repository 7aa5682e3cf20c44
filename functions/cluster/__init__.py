"""The cluster itself: manager, agents, images, resources, storages."""
