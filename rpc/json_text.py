"""Why a text is no JSON, in words that help: the parser's own are short, or wrong for lone surrogates."""

import re

# Everything up to the first lone surrogate escape. Possessive, so that a long text costs no memory to go back.
_PAIRED = re.compile(
    rb"(?:[^\\]++|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB]..\\u[dD][c-fC-F]|\\[^u])*+",
    re.DOTALL,
)
_POSITION = re.compile(r"^(?:JSON is malformed: )?(.*?) \(byte (\d+)\)$", re.DOTALL)
_NO_NUMBERS = (b"NaN", b"Infinity", b"-Infinity")


def explain(text: bytes, error: Exception) -> str:
    """A sentence on why decoding `text` as JSON raised `error`. RFC 8259; UTF-8 is its section 8.1."""
    if isinstance(error, RecursionError):
        return "arrays and objects are nested too deeply"
    if not text.strip(b" \t\r\n"):
        return "the body is empty; send a JSON-RPC request object or an array of them"
    if text.startswith(b"\xef\xbb\xbf"):
        return "the text begins with a byte order mark; send UTF-8 without one"
    paired = _PAIRED.match(text)
    if paired and text[paired.end() : paired.end() + 2] == b"\\u":
        return f"half of a surrogate pair stands alone in a string (byte {paired.end()})"
    position = _POSITION.match(str(error))
    if position is None:
        return f"the text ends too early (byte {len(text)})"
    words, at = position[1], int(position[2])
    if text[max(at - 1, 0) : at + 9].lstrip(b" -:,[").startswith(_NO_NUMBERS):
        return f"NaN and Infinity are no JSON numbers (byte {at})"
    return f"{words} (byte {at})"


def invalid_utf8(text: bytes) -> int | None:
    """The offset of the first byte that is not UTF-8, or None."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def describe(raw: bytes) -> str:
    """What a JSON value is, in two words."""
    kinds = {b"{": "an object", b"[": "an array", b'"': "a string", b"t": "true", b"f": "false", b"n": "null"}
    kind = kinds.get(raw[:1], "a number")
    return f"the number {raw.decode()}" if kind == "a number" and len(raw) <= 20 else kind
