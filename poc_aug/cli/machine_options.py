"""The options about processes and machines that fill one cache together: ``--shard``, ``--engine`` and those of Ray."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, TypeAlias

from pydantic import Field

from poc_aug.cli.command_options import CliOption
from poc_aug.cli.generation_options import LENIENT
from poc_aug.errors import SettingError
from poc_aug.generation.numbered_jobs import Shard
from poc_aug.generation.ray_cluster import RayEngine, require_ray

_PANEL = "Many processes and machines"
_OF_RAY = ("address", "actors", "gpus_per_actor")

ShardField: TypeAlias = Annotated[
    str | None,
    CliOption(
        help="This is job i of n, from 0, that fill the cache together: 0/8; auto: as SLURM or torchrun number it.",
        takes="a job's number and how many there are, '0/8', or auto",
        metavar="I/N",
        panel=_PANEL,
    ),
]
EngineField: TypeAlias = Annotated[
    Literal["local", "ray"],
    CliOption(help="local: this process; ray: Ray actors.", takes="local or ray", panel=_PANEL),
]
AddressField: TypeAlias = Annotated[
    str | None,
    CliOption(
        help="The Ray cluster: auto (the one of this machine), ray://head:10001.",
        takes="auto, or the address of a Ray cluster",
        default="one on this machine, for this run",
        panel=_PANEL,
    ),
]
ActorsField: TypeAlias = Annotated[
    int | None,
    Field(ge=1),
    CliOption(
        help="Ray actors, each with a model set and --workers loader processes.",
        takes="a whole number, 1 or more",
        default="one per GPU, or as many as the processors allow",
        panel=_PANEL,
    ),
]
GpusPerActorField: TypeAlias = Annotated[
    float | None,
    LENIENT,
    Field(ge=0),
    CliOption(
        help="GPUs of each Ray actor; 0.5: two share one; 0: none.",
        takes="a number, 0 or more",
        default="1 if there are any",
        panel=_PANEL,
    ),
]


class MachineOptions(Protocol):
    """Options of a command that may run as several processes."""

    @property
    def shard(self) -> str | None:
        """Which of several jobs this is."""

    @property
    def engine(self) -> Literal["local", "ray"]:
        """What fills the cache."""

    @property
    def address(self) -> str | None:
        """The Ray cluster."""

    @property
    def actors(self) -> int | None:
        """How many Ray actors there are."""

    @property
    def gpus_per_actor(self) -> float | None:
        """GPUs of each."""


def engine_of(options: MachineOptions) -> RayEngine | Literal["local"]:
    """What fills the cache, after a check of these options, which needs no dataset.

    Raises:
        SettingError: an option of Ray without ``--engine ray``.
        ClusterError: no job's number.
        MissingDependencyError: Ray is not installed.
    """
    Shard.of(options.shard)
    if options.engine == "ray":
        engine = RayEngine(options.address, options.actors, options.gpus_per_actor)
        require_ray()
        return engine
    for name in _OF_RAY:
        value = getattr(options, name)
        if value is not None:
            raise SettingError(
                f"--{name.replace('_', '-')} {value!r} without --engine ray",
                expected="options of Ray's actors with --engine ray",
                hint="add --engine ray, or leave it out",
            )
    return "local"
