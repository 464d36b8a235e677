"""Keys that a store must refuse, and keys that only look so. Strings; no store is asked here."""

from __future__ import annotations

from itertools import product

WAYS_OUT = ("../secret", "a/../../secret", "../../etc/passwd", "a/b/../../../secret", "../root2/secret")
"""Paths that lead out of a folder."""


def invalid_keys() -> list[str]:
    """More than 500 keys that are no relative paths in normal form: on some system each could lead out of a folder, or be another key."""
    parts = [product(("a", "..", ".", ""), repeat=count) for count in (1, 2, 3, 4)]
    keys = ["/".join(each) for some in parts for each in some if set(each) != {"a"}]
    for depth in range(1, 17):
        keys += ["../" * depth + "secret", "a/" * depth + "../" * (depth + 1) + "secret", "a/" * depth + "..", "./" * depth + "ten"]
    for way in WAYS_OUT:
        for backslash in (way.replace("/", "\\"), way.replace("/", "\\", 1), way.replace("/", "\\/"), way.replace("..", "..\\")):
            keys += [backslash, f"a/{backslash}", f"\\{backslash}", f"C:\\{backslash}"]
        keys += [f"/{way}", f"//{way}", f"{way}/", f"{way}//", f"{way}\0", f"\0{way}", f"ten\0/{way}", f"file:///{way}", f"s3://{way}"]
    keys += ["/secret", "/etc/passwd", "//host/share/secret", "C:\\secret", "C:..\\secret", "C:\\", "\\\\host\\share", "\\\\?\\C:\\secret"]
    keys += ["\\\\.\\NUL", "\\", "a\\", "\\a", "a\\b", "\0", "a\0", "a\0b", "a/\0", "ten\0.json", "ten/", "ten/.", "a/b/c/", "a//b/c"]
    # No text: no store could send it, and file systems and servers differ in what they would make of it.
    keys += ["\ud800", "a/\udfff", "\udc2e\udc2e/secret", "..\udc2fsecret", "a\udce9"]
    return list(dict.fromkeys(keys))


ODD_KEYS = (
    *("...", "....", "a..b", "..a", "a..", ".a", "a.", "b/...", "c/.../d", "~", "~root", "-", "--help", "*", "a?b", "[a]", "{a}", "$HOME"),
    *("%2e%2e", "%2e%2e%2fsecret", "..%2fsecret", "%2e", "%2F", "%252e%252e", "%00", "50%", "..%5csecret", "..;", "..%c0%af", "%"),
    *("a b", " a", "a ", " ", "a+b", "a&b=c", "a#b", "a;b,c", "a:b", "C:", "C:secret", "a@b", "'q'", '"', "`id`", "<a>", "a|b", "$(id)"),
    *("ü/é", "日本", "😀", "..\u2215secret", "\uff0e\uff0e/secret", "\uff0e\uff0e\uff0fsecret", "\u2024\u2024/secret"),
    *("\u2025/secret", "\u202e/a", "CON", "NUL", "aux.txt", "COM1", "con/a", "/".join(["x" * 200] * 4)),
)  # fmt: skip
"""Keys like any others, whatever they mean to shells, URLs, Windows or the eye."""
