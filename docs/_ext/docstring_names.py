"""Names in the docstrings, as they are written here: single backticks, and paths of pages."""

from __future__ import annotations

import re
import sys
from typing import Any

from api_pages import MODULES, module_members
from docutils import nodes
from docutils.parsers.rst import roles
from pydantic import BaseModel
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

_PAGE = re.compile(r"``docs/([\w/]+)\.md``")
_SOFT = "links_if_it_is_there"


def name_role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """A single backtick: code, and a link if it names something that the site documents."""
    target = text.strip().removesuffix("()")
    literal = nodes.literal(rawtext, text, classes=["xref", "py"])
    if not re.fullmatch(r"[\w.]+", target):
        return [literal], []
    environment = inliner.document.settings.env
    reference = addnodes.pending_xref(
        rawtext,
        literal,
        refdomain="py",
        reftype="obj",
        reftarget=target,
        refdoc=environment.docname,
        refexplicit=False,
        **{_SOFT: True},
    )
    reference["py:module"] = environment.ref_context.get("py:module")
    reference["py:class"] = environment.ref_context.get("py:class")
    reference["refspecific"] = True
    return [reference], []


def _documented(environment: BuildEnvironment, target: str) -> list[str]:
    """Full names of what the site documents under the last part of a name."""
    last = target.rpartition(".")[2]
    objects = environment.domains["py"].data["objects"]
    return [name for name, entry in objects.items() if name.rpartition(".")[2] == last and not entry.aliased]


def resolve(
    app: Sphinx, environment: BuildEnvironment, node: addnodes.pending_xref, contnode: nodes.Element
) -> nodes.Element | None:
    """Links a name by its last part, such as `poc_aug.recipe.Recipe`, which is documented as `poc_aug.Recipe`."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    package = target.startswith("poc_aug.") or "." not in target
    found = _documented(environment, target) if package else []
    if len(found) == 1 and (target[:1].isupper() or "." in target or node.get(_SOFT)):
        domain = environment.domains["py"]
        return domain.resolve_xref(environment, node["refdoc"], app.builder, "obj", found[0], node, contnode)
    named = package and target.rpartition(".")[2] in _names_of_the_package()
    return contnode if named or node.get(_SOFT) else None


def _names_of_the_package() -> set[str]:
    """All names in the modules of poc_aug: a signature may show them even if no page documents them."""
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "poc_aug"]
    return {"NoneType", *(name for module in modules for name in vars(module))}


def link_pages(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """``docs/camera.md`` in a docstring leads to that page."""
    lines[:] = [_PAGE.sub(r":doc:`/\1`", line) for line in lines]


def keep_colons(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Napoleon would take what is before a colon in the first line of a property for its type."""
    if what in ("property", "attribute", "data"):
        lines.insert(0, "\\ ")  # renders as nothing


def plain_settings(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """The signature of a pydantic model: its fields and defaults, without the conditions in their types."""
    if what != "class" or not issubclass(obj, BaseModel):
        return None
    fields = []
    for field_name, field in obj.model_fields.items():
        default = "..." if field.default_factory else repr(field.default)
        fields.append(field_name if field.is_required() else f"{field_name}={default}")
    return f"(*, {', '.join(fields)})", None


def load_the_package(app: Sphinx) -> None:
    """Loads what pages document, also those that are not read again: `_names_of_the_package` looks there."""
    for module in MODULES:
        module_members(module)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    roles.register_local_role("name", name_role)
    app.config.default_role = "name"  # type: ignore[attr-defined]
    app.connect("builder-inited", load_the_package)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", link_pages)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # napoleon has 500
    app.connect("autodoc-process-signature", plain_settings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
