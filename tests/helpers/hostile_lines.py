"""Hostile command lines, made from the declarations of the commands: every option of each with every hostile value."""

from __future__ import annotations

import atexit
import inspect
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, NamedTuple, get_args, get_origin

from PIL import Image
from typer.models import OptionInfo

from poc_aug.cli.main import cli
from poc_aug.sharing.packing import pack_cache
from poc_aug.stores import push
from tests.helpers import hostile_callables
from tests.helpers.hostile_edits import save_edits
from tests.helpers.tiny_diffusion import build_sd_text_to_image

OWN = hostile_callables.__name__
_TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\n",
    "-1",
    "nan",
    "²",
    "\udcff",
    "🙂",
    "a" * 300,
    "a/" * 3000,
    "[",
    "[[a]: b]",
    "&a [*a]",
    ":",
    "a:b",
)
_TEXTS += ("[" * 3000 + "]" * 3000, "'unbalanced", "x=y=z", "{}", "9" * 5000, "sys:exit", "os:path", "[/red]")
_NUMBERS: tuple[str, ...] = (
    "",
    " ",
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "²",
    "١",
    "1_0",
    "0x10",
    "1.5",
    "a",
    "\udcff",
)
_NUMBERS += ("\udcff", str(2**31), str(2**63), str(2**64), "1" + "0" * 30, "9" * 5000)
# What would run for years rather than fail, which a user may ask for.
_ENDLESS: dict[str, tuple[int, ...]] = {
    "--length": (10,),
    "--repeats": (10,),
    "--workers": (1, 10),  # processes, not years
}
_CALLABLES = tuple(name for name in vars(hostile_callables) if not name.startswith("_") and name != "annotations")


def make_files(folder: Path) -> list[str]:
    """Files that are not what an option asks for, in the folder in which the commands run; their names."""
    Image.new("RGB", (40, 30), "green").save(folder / "picture.png")
    Image.new("L", (1, 1)).save(folder / "pixel.png")
    (folder / "sub").mkdir()
    (folder / "empty").touch()
    (folder / "loop").symlink_to("loop")
    (folder / "gone").symlink_to("nowhere")
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )
    texts = {
        "bomb.yaml": bomb,
        "deep.yaml": "[" * 5000 + "]" * 5000,
        "self.yaml": "objects: &a [*a]",
        "list.yaml": "[1, 2]",
        "text.yaml": "text",
        "tab.yaml": "\t: [",
        "date.yaml": "objects: 2024-13-45",
        "digits.yaml": f"objects: {'9' * 5000}",
        "keys.yaml": "{1: 2, null: 3, [a]: 4}",
        "mixed.yaml": "{1: 2, null: 3, b: 4, 2024-01-01: 5}",
        "tag.yaml": "!!python/object/apply:os.system ['true']",
        "backends.yaml": "backends: {inserter: 5}\nrecipe: [1]\ninserter: {kind: 5}",
        "inserter.yaml": "inserter: 5",
        "kind.yaml": "inserter: {kind: [paste]}",
        "folder.yaml": "inserter: {kind: paste, folder: 5}",
        "coco.yaml": "inserter: {kind: paste, coco: {a: 1}}",
        "arguments.yaml": "inserter: {kind: rendered, supersample: [a]}\nrecipe: {objects: [barrel]}",
        "names.yaml": "inserter: {kind: rendered, 5: 6}\nrecipe: {objects: [barrel]}",
        "config.yaml": "dataset: {type: [1], args: 5}\nset: [1]\nbackend_args: 7\nout: {a: b}\nnum_variants: [1]",
        "sizes.yaml": "{height: 5, longest: [1]}",
        "ids.yaml": "ids: [1]\nignore: {a: b}\nground: 5\nood: 7",
        "huge_id.yaml": f"ids: {{road: {10**30}}}\nignore: [{10**30}]",
        "negative_id.yaml": "ids: {road: -5}",
        "deep.json": "[" * 100_000,
        "list.json": "[[[1]]]",
        "number.json": "5",
        "nan.json": '[{"model": "a", "synthetic": NaN, "real": 1}]',
        "huge.json": f'[{{"model": "a", "synthetic": {10**400}, "real": 1}}]',
        "coco.json": '{"images": 5, "annotations": {"a": 1}, "categories": [5]}',
        "columns.csv": "model,synthetic,real\na,1\n\x00,b,c\n",
        "exiting.py": "import sys\nsys.exit(0)",
        "syntax.py": "def",
        "looping.py": "import looping\nlooping.thing",
    }
    for name, content in texts.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    (folder / "noise.yaml").write_bytes(os.urandom(100))
    (folder / "large.yaml").write_bytes(b"a: b\n" * 1_000_000)
    paths = sorted(path.name for path in folder.iterdir() if path.suffix != ".py")
    return [
        *paths,
        "empty/below",
        "picture.png/x.png",
        "/dev/null",
        "/dev/full",
        "/dev/full/x.png",
        "/proc/x.png",
        "x\0.png",
    ]


@cache
def _tiny_base() -> Path:
    """A small random Stable Diffusion, outside of the folders that the commands run in."""
    folder = tempfile.mkdtemp(prefix="poc-aug-tiny-sd-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return build_sd_text_to_image(Path(folder) / "sd")


def usable(folder: Path, cache: Path) -> dict[str, list[str]]:
    """Arguments with which each command works."""
    streets = "tests.helpers.evaluation_cases:Streets"
    painter = ["--backend", "tests.helpers.fakes:EllipseInserter"]
    results = folder / "results.csv"
    results.write_text("model,synthetic,real\na,1,2\nb,2,4\nc,3,5\nd,5,3\n")
    save_edits(folder / "edits")
    frames = ["--dataset", "tests.helpers.fakes:Frames", "length=2", "size_hw=48,65"]
    warm = [*frames, "--objects", "rendered", "--num-variants", "1", "--workers", "0", "--out", "new.cache"]
    made = [str(cache), "--dataset", "tests.helpers.fakes:Frames", "length=3", "size_hw=60,81"]
    model = "tests.helpers.evaluation_cases:Brightness"
    if (cache / "manifest.json").is_file():
        pack_cache(cache, folder / "shared.tar")
        push(cache, "memory://hostile-lines/given.cache")
    tuned = ["--prompt", "a street", "--condition", "one-hot", "--device", "cpu", "--workers", "0", "--out", "tuned"]
    return {
        "warm-cache": warm,
        "warm-scenes": [*frames, "--shift", "fog", "--workers", "0", "--out", "new.cache"],
        "finetune-scenes": [*frames, "--base", str(_tiny_base()), *tuned, "--dry-run"],
        "try": [
            "picture.png",
            "--object",
            "a person",
            "--on",
            "anywhere",
            "--horizon",
            "0.4",
            *painter,
            "--out",
            "tried",
        ],
        "models": [],
        "sets": ["cs-poc"],
        "doctor": ["picture.png"],
        "evaluate": ["--model", model, "--dataset", streets, "--limit", "2"],
        "reliability": [str(results), "--resamples", "20", "--out", "agreement"],
        "import": [
            "edits",
            "--layout",
            "pairs",
            "--images",
            "*_v?.png",
            "--labels",
            "*_v?_labels.png",
            *["--preset", "poc-animals", "--dataset", "tests.helpers.hostile_edits:Streets", "length=2"],
            *["--workers", "0", "--out", "new.cache"],
        ],
        "info": [str(cache)],
        "verify": [str(cache)],
        "drop": [str(cache), "--variant", "0", "--dry-run"],
        "compact": [str(cache), "--out", "compacted.cache"],
        "repair": [str(cache), "--dry-run"],
        "merge": [str(cache), "--out", "merged.cache"],
        "review": [*made, "--dry-run"],
        "preview": [*made, "--count", "1", "--width", "300", "--out", "sheet.png"],
        "report": [*made, "--samples", "1", "--out", "report.html"],
        "export": [
            *made,
            "--layout",
            "cs-synth",
            "--split",
            "train",
            "--keep-ids",
            "--workers",
            "0",
            "--out",
            "exported",
        ],
        "demo": ["--out", "demo", "--size", "32,64", "--length", "1"],
        "pack": [str(cache), "--out", "packed.tar"],
        "unpack": ["shared.tar", "--out", "unpacked.cache"],
        "push": [str(cache), "memory://hostile-lines/pushed.cache"],
        "pull": ["memory://hostile-lines/given.cache", "--out", "pulled.cache"],
        "bench": [*made, "--items", "1", "--repeats", "1", "--workers", "0", "--out", "bench.json"],
    }


class HostileLine(NamedTuple):
    """A command line, and the option or argument in it that is hostile."""

    arguments: list[str]
    option: str
    value: str = ""

    def is_named_in(self, message: str) -> bool:
        """Whether a message names the option or (the beginning of) its value."""
        value = self.value.partition("=")[2] or self.value
        plain, short = _letters(message), _letters(value)[:20]
        named = _letters(self.option) in plain or (short in plain and bool(short))
        if self.option == "--dataset" and "sample '" in message:
            return True
        return named or any(form in message for form in (value[:20], repr(value), ascii(value)[1:-1]))


def lines(works: dict[str, list[str]], files: list[str]) -> Iterator[HostileLine]:
    """Every command with each of its options and arguments in turn replaced by each hostile value."""
    callables = [f"{OWN}:{name}" for name in _CALLABLES]
    callables += ["exiting:x", "syntax:x", "looping:x", "poc_aug.datasets:CamVid", "..:x", "json.x:y", "poc_aug:a.b.c"]
    texts = [*_TEXTS, *files, *callables]
    for command, given in works.items():
        positions = [option for option, _ in declared(command) if not option.startswith("-")]
        for option, kind in declared(command):
            if not option.startswith("-"):
                place = positions.index(option)
                given_there = len(given) > place and not any(part.startswith("-") for part in given[: place + 1])
                replaced = given_there and option != "arguments"
                for value in [*_TEXTS, *files, *(f"root={text}" for text in _TEXTS)]:
                    after = [*given[:place], value, *given[place + 1 :]] if replaced else [*given, value]
                    yield HostileLine([command, *after], option, value)
                continue
            if kind is bool:
                yield HostileLine([command, *given, option], option)
                yield HostileLine([command, *given, f"{option}=no"], option)
                yield HostileLine([command, *given, option, option], option)
                continue
            values = _NUMBERS if kind in (int, float) else [*files, *_TEXTS] if kind is Path else texts
            rest = [*given]
            if option in rest:
                at = rest.index(option)
                del rest[at : at + 2]
            if option == "--dataset":  # the arguments are those of the usable one
                rest = [part for part in rest if "=" not in part]
            for value in values:
                if not (value.isdecimal() and int(value[:300]) in _ENDLESS.get(option, ())):
                    yield HostileLine([command, *rest, option, value], option, value)
            yield HostileLine([command, *rest, option], option)


def _letters(text: str) -> str:
    """Letters and digits alone: messages quote values, shorten them, and are wrapped in boxes."""
    return "".join(character for character in text.casefold() if character.isalnum())


def declared(command: str) -> Iterator[tuple[str, type]]:
    """The options and arguments of a command, with their types, as they are declared for Typer."""
    (callback,) = (one.callback for one in cli.registered_commands if one.name == command)
    assert callback is not None
    for parameter in inspect.signature(callback, eval_str=True).parameters.values():
        if get_origin(parameter.annotation) is not Annotated:
            continue  # Typer's context
        annotation, info = get_args(parameter.annotation)[:2]
        kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not NoneType]
        # In ``Annotated`` the first name is what Typer calls the default.
        decls = [name for name in (info.default, *(info.param_decls or ())) if str(name).startswith("--")]
        is_option = isinstance(info, OptionInfo)
        yield (decls[0] if decls else f"--{parameter.name}" if is_option else parameter.name), kinds[0]
