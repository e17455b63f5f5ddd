"""What the flush shows of a delayed file's name."""

from __future__ import annotations

import pytest

from lonc.child.flush import shown_names


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1015574179.3.812.passwddus3cret.msul1", "1015574179.3.812.*.msul1"),
        ("rejected/1015574179.3.812.passwddus3cret.a.b-2", "rejected/1015574179.3.812.*.a.b-2"),
        ("moved: 1.2.3.authdus3cret.p, 4.5.6.authdus3cret.p", "moved: 1.2.3.*.p, 4.5.6.*.p"),
        ("[Errno 28] Full: '/s/1.2.3.authdu s3cret\x1b.p'", "[Errno 28] Full: '/s/1.2.3.*.p'"),
        ("1.2.3..p", "1.2.3.*.p"),  # a command that begins with no word character
        ("by-hand.msul1", "by-hand.msul1"),  # of another form: whoever wrote it chose the name
        ("", ""),
    ],
)
def test_the_part_with_request_text_is_a_star(text: str, shown: str) -> None:
    assert shown_names(text) == shown
    assert "s3cret" not in shown
