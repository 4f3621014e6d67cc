"""The layout of design.md section 2, read from the source: who may import whom, ours and others'."""

import ast
import sys
from collections.abc import Iterator

from tests.source_tree import PACKAGES, ROOT, Module, calls, modules, name_of

KERNEL = frozenset({"errors", "events", "secret", "clock", "paging", "transaction", "config", "escaping", "offload"})
# Importable like the kernel, but only for those who put a process together.
PROCESS = frozenset({"background", "logs"})
SLICES = (
    "access", "audit", "outbox", "devices", "issuance", "commands", "push", "assignments", "apps", "tokens", "checkin",
    "enrollment",
)  # fmt: skip
EDGES = frozenset({"storage", "connectors", "web", "simulator"})
COMPOSITION = frozenset(
    {"bootstrap", "composition", "app_composition", "push_composition", "believed", "cli", "__main__"}
)
SLICE_FILES = frozenset({"__init__", "model", "service", "store", "ports"})

# A slice's modules have the same four names everywhere; where one became too long, this says what a part belongs to.
SPLIT_FROM = {
    "mdmserver.apps.answers": "service",
    "mdmserver.apps.delivery": "service",
    "mdmserver.apps.desired": "model",
    "mdmserver.apps.explain": "model",
    "mdmserver.apps.outcomes": "model",
    "mdmserver.apps.progress": "service",
    "mdmserver.apps.reconcile": "service",
    "mdmserver.apps.steps": "model",
    "mdmserver.checkin.answers": "service",
    "mdmserver.checkin.enrolling": "service",
    "mdmserver.checkin.exchange": "service",
    "mdmserver.checkin.gate": "service",
    "mdmserver.checkin.recognition": "service",
    "mdmserver.commands.clear_passcode": "service",
    "mdmserver.commands.destructive": "model",
    "mdmserver.commands.enqueue": "service",
    "mdmserver.commands.explain": "model",
    "mdmserver.commands.request": "model",
    "mdmserver.commands.results": "service",
    "mdmserver.devices.identity": "model",
    "mdmserver.devices.presence": "service",
    "mdmserver.enrollment.erased": "service",
    "mdmserver.enrollment.leaving": "service",
    "mdmserver.enrollment.profile": "service",
    "mdmserver.enrollment.renewal": "service",
    "mdmserver.issuance.authorities": "service",
    "mdmserver.issuance.crls": "service",
    "mdmserver.issuance.invitations": "service",
    "mdmserver.issuance.issuing": "service",
    "mdmserver.issuance.scep": "service",
    "mdmserver.issuance.server_certificate": "service",
    "mdmserver.issuance.unused": "service",
    "mdmserver.push.certificates": "service",
    "mdmserver.push.pace": "model",
    "mdmserver.push.sender": "service",
    "mdmserver.push.topics": "model",
}
# What the order of the slices forbids and a reason outweighs.
UPWARD_IMPORTS = {
    ("access", "audit"): "S29: a key's making and ending has its audit record in the same transaction",
}

# Who may import a library; the standard library is free but for the modules named here.
LIBRARIES = {
    "asn1crypto": {"certs"},
    "cryptography": {"certs", "profiles", "storage"},
    "sqlite3": {"storage"},
    "asyncpg": {"storage"},
    "aioapns": {"connectors", "simulator"},
    "aiohttp": {"web", "connectors", "simulator", "cli", "bootstrap", "__main__"},
    "yarl": {"web", "connectors", "simulator", "cli"},
    "h2": {"simulator"},
    "hpack": {"connectors", "simulator"},
    "msgspec": {"config", "logs", "audit", "apps", "storage", "web", "connectors", "simulator", "cli"},
    "click": {"cli", "__main__"},
    "rich": {"cli", "__main__"},
    "segno": {"cli", "web"},
    "uvloop": {"cli", "bootstrap", "__main__"},
}
INPUT_OUTPUT = frozenset(
    {"asyncio", "http", "multiprocessing", "selectors", "socket", "ssl", "subprocess", "threading"}
)


def imports_of(module: Module) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every module imported, wherever in the file."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if _is_ours(inner) else node.module


def _is_ours(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return name.split(".")[0] in PACKAGES and (path.with_suffix(".py").exists() or (path / "__init__.py").exists())


def own_imports() -> Iterator[tuple[Module, int, str]]:
    for module in modules():
        for line, imported in imports_of(module):
            if imported.split(".")[0] in PACKAGES and imported != "mdmserver":
                yield module, line, imported


def part_of(name: str) -> str:
    """The part of the project that a module's name belongs to."""
    top, _, rest = name.partition(".")
    return rest.partition(".")[0] if top == "mdmserver" else top


def file_of(name: str) -> str:
    """Which of a slice's four files a module is, or is a part of."""
    return SPLIT_FROM.get(name) or name.split(".")[2]


def fault_of_import(module: Module, imported: str) -> str | None:
    """Why this module may not import that one; None if it may."""
    mine, theirs = module.package, part_of(imported)
    if mine == theirs or mine in COMPOSITION or module.name == "mdmserver":
        return None
    if theirs in COMPOSITION:
        return "the composition root and the command line are imported by nobody"
    if theirs in PROCESS:
        return f"{theirs} is for those who put a process together"
    if mine in ("certs", "protocol"):
        return f"{mine} imports nothing of ours"
    if mine == "profiles":
        return None if theirs == "certs" else "profiles imports certs alone"
    if theirs in KERNEL:
        return None
    if mine in KERNEL | PROCESS:
        return "the kernel imports only the kernel"
    return _fault_between_slices_and_edges(mine, theirs, imported)


def _fault_between_slices_and_edges(mine: str, theirs: str, imported: str) -> str | None:
    if theirs in EDGES:
        return f"the edge {theirs} is imported by the composition root alone"
    if theirs in SLICES:
        allowed = {
            "storage": {"store", "model"},
            "connectors": {"ports", "model"},
            "web": {"service", "model"},
            "simulator": set[str](),
        }.get(mine)
        if allowed is not None:
            return None if file_of(imported) in allowed else f"{mine} may import only {sorted(allowed)} of a slice"
        return _fault_between_slices(mine, theirs)
    allowed_libraries = {"storage": {"protocol", "certs"}, "connectors": {"protocol", "certs"}}
    if theirs not in allowed_libraries.get(mine, {"protocol", "profiles", "certs"}):
        return f"{mine} may not import {theirs}"
    return None


def _fault_between_slices(mine: str, theirs: str) -> str | None:
    if theirs == "checkin":
        return "checkin composes the others and is imported by edges alone"
    if SLICES.index(theirs) > SLICES.index(mine) and (mine, theirs) not in UPWARD_IMPORTS:
        return f"{theirs} stands below {mine} in the list"
    return None


def test_modules_import_only_what_their_place_allows() -> None:
    faults = [
        f"{module}:{line} imports {imported}: {fault}"
        for module, line, imported in own_imports()
        if (fault := fault_of_import(module, imported)) is not None
    ]

    assert not faults, "\n".join(faults)


def test_every_exception_to_the_order_of_slices_is_still_needed() -> None:
    used = {(module.package, part_of(imported)) for module, _, imported in own_imports()}

    assert set(UPWARD_IMPORTS) <= used
    assert {name for name in SPLIT_FROM if _is_ours(name)} == set(SPLIT_FROM)


def test_the_rules_find_what_they_forbid() -> None:
    def fault(importer: str, imported: str) -> str | None:
        path = ROOT.joinpath(*importer.split(".")).with_suffix(".py")
        return fault_of_import(Module(path=path, name=importer, source="", tree=ast.Module([], [])), imported)

    assert fault("certs.cms", "mdmserver.errors")
    assert fault("mdmserver.protocol.plist", "mdmserver.errors")
    assert fault("mdmserver.devices.service", "mdmserver.commands.model")
    assert fault("mdmserver.web.app", "mdmserver.storage.sqlite")
    assert fault("mdmserver.web.app", "mdmserver.commands.store")
    assert fault("mdmserver.storage.queue", "mdmserver.commands.service")
    assert fault("mdmserver.simulator.device", "mdmserver.devices.model")
    assert fault("mdmserver.enrollment.service", "mdmserver.checkin.service")
    assert fault("mdmserver.web.app", "mdmserver.bootstrap")
    assert fault("mdmserver.errors", "mdmserver.devices.model")
    assert not fault("mdmserver.checkin.service", "mdmserver.devices.store")
    assert not fault("mdmserver.bootstrap", "mdmserver.storage.sqlite")


def test_there_are_modules_to_look_at() -> None:
    parts = {module.package for module in modules()}

    assert {"certs", "protocol", "devices", "commands", "checkin", "storage", "web"} <= parts
    assert len(modules()) > 80


def test_every_part_of_the_server_has_a_place_in_the_layout() -> None:
    known = {"certs", "profiles", "protocol", "", *KERNEL, *PROCESS, *SLICES, *EDGES, *COMPOSITION}

    assert {module.package for module in modules()} - known == set()


def test_every_module_of_a_slice_is_one_of_the_four_or_a_part_of_one() -> None:
    strangers = [
        str(module)
        for module in modules()
        if module.package in SLICES and not module.is_init and file_of(module.name) not in SLICE_FILES
    ]

    assert not strangers, strangers


def test_libraries_are_imported_only_where_they_belong() -> None:
    faults = []
    for module in modules():
        for line, imported in imports_of(module):
            top = imported.split(".")[0]
            if top in PACKAGES:
                continue
            allowed = LIBRARIES.get(top, None if top in sys.stdlib_module_names else set[str]())
            if allowed is not None and module.package not in allowed:
                faults.append(f"{module}:{line} imports {top}")

    assert not faults, "\n".join(faults)


def is_pure(module: Module) -> bool:
    return module.package in ("certs", "profiles", "protocol") or (
        module.package in SLICES and not module.is_init and file_of(module.name) == "model"
    )


def test_pure_modules_neither_wait_nor_do_input_and_output() -> None:
    faults = []
    for module in filter(is_pure, modules()):
        faults += [f"{module}:{line} imports {name}" for line, name in imports_of(module) if name in INPUT_OUTPUT]
        waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncWith, ast.AsyncFor)
        faults += [f"{module}:{node.lineno} waits" for node in ast.walk(module.tree) if isinstance(node, waiting)]
        faults += [f"{module}:{node.lineno} opens a file" for node in calls(module) if name_of(node.func) == "open"]

    assert not faults, "\n".join(faults)


def test_package_inits_are_empty_where_they_are_no_public_face() -> None:
    for module in modules():
        if module.is_init and module.name not in ("certs", "profiles", "mdmserver.protocol"):
            assert not module.source.strip(), f"{module} is not empty"


def test_package_faces_hold_no_logic() -> None:
    for module in modules():
        if module.is_init and module.tree.body:
            kinds = {type(node) for node in module.tree.body}
            assert kinds <= {ast.Expr, ast.ImportFrom, ast.Assign}, f"{module} does more than re-export"
            assert "__all__" in module.source
