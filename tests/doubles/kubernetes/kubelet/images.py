"""The images that nodes can pull: folders and commands of this machine, by the images' names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class LocalImage:
    """What an image has."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: int = 0
    folder: str = "/"
    """Its working directory."""
    root: Path | None = None
    """The folder that is its root; without one it has the programs of this machine."""
    paths: tuple[Path, ...] = ()
    """Further files and folders of this machine that it has, at the same place."""


class ImageRegistry:
    """A registry of images."""

    def __init__(self) -> None:
        self._images: dict[str, LocalImage] = {}

    def add(self, name: str, image: LocalImage | None = None) -> None:
        self._images[name] = image or LocalImage()

    def remove(self, name: str) -> None:
        self._images.pop(name, None)

    def find(self, name: str) -> LocalImage | None:
        return self._images.get(name)
