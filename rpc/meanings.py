"""What members of structs mean, for the documents: the strings that stand below them in the source.

Members that many structs share (`session`, `limit`, ...) are described here once; a string of their own beats that.
"""

import ast
import functools
import inspect
import itertools
from collections.abc import Mapping
from types import MappingProxyType

OF_PARAMS: Mapping[str, str] = MappingProxyType(
    {
        "session": "the session that the call is about; without it the token's own",
        "cell": "the cell that the call is about",
        "kernel": "the kernelspec; without it the default one",
        "code": "the code",
        "cursor_pos": "where in `code` the question is asked; without it at the end",
        "wait": "how long this answer may take; the cell goes on",
        "limit": "at most so many in the answer",
        "after": "where the page begins: `after` of the page before",
        "start": "whether to start the kernel now instead of at its first use",
    }
)
OF_RESULTS: Mapping[str, str] = MappingProxyType(
    {
        "session": "id of the session",
        "cell": "id of the cell",
        "kernel": "name of the kernelspec",
        "user": "name of the user, at that time",
        "user_id": "id of the user, which stays when the name changes",
        "code": "the code",
        "exit": "how the kernel process ended; null unless it did",
        "end": "how the cell ended; null until then",
        "execution_count": "the number in `In [n]`; null if the kernel gave none",
        "kernel_state": "what the kernel does now",
        "expires_at": "when the token ends",
        "scopes": "what the token may do",
        "token": "the token, for `Authorization: Bearer`",
        "token_id": "id of the token, for revoke_token",
        "after": "pass it as `after` for the next page; null on the last one",
        "created_at": "when it was made",
    }
)
OF_ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "member": "the member of `params` that is wrong",
        "expected": "what would be right",
        "newest": "seq of the newest event, if the cursor lies beyond it",
        "reason": "why",
        "scope": "the scope that the token lacks",
        "access": "what the call needs: `write`, or `owner`, which nobody can be given",
        "retry_after_s": "seconds after which a retry makes sense",
        "limit": "the setting that was reached, or `disk`",
        "value": "the value of that setting; null for the disk",
        "session": "the id that was asked for",
        "closed": "whether there is such a session, but closed: log-in to it opens it again",
        "cell": "the id that was asked for",
        "name": "the name that was asked for",
        "available": "the names that there are",
        "exit": "how the kernel process ended: `{code, signal, oom, limit}`, unknown ones null",
        "stderr": "the last lines that the kernel wrote to standard error",
        "deadline_s": "seconds that the kernel had",
        "request_id": "what to tell the administrator: the log has the same",
    }
)


def own(struct: type) -> Mapping[str, str]:
    """The strings below the members of `struct` and of its bases. Empty where the source is not at hand."""
    found: dict[str, str] = {}
    for kind in reversed(struct.__mro__):
        found |= _classes(kind.__module__).get(kind.__qualname__, {})
    return found


def of_params(struct: type, member: str) -> str | None:
    """What a member of a method's params means; None if nobody has said."""
    return own(struct).get(member) or OF_PARAMS.get(member)


def of_result(struct: type, member: str) -> str | None:
    """What a member of a result, or of a struct in one, means; None if nobody has said."""
    return own(struct).get(member) or OF_RESULTS.get(member)


@functools.cache
def _classes(module: str) -> dict[str, dict[str, str]]:
    """Of each class at the top of a module: its members' strings."""
    if module == "builtins":
        return {}
    try:
        source = inspect.getsource(__import__(module, fromlist=["_"]))
    except (OSError, TypeError):
        return {}
    return {node.name: _members(node) for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


def _members(node: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    for statement, below in itertools.pairwise(node.body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            found[statement.target.id] = " ".join(below.value.value.split())
    return found
