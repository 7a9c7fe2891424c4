"""What a page allows: the two policies and the variables that change them."""

import dataclasses

import pytest

from charrnn.errors import ConfigError
from charrnn.hosting import HOSTED, LIMITS, LOCAL, address_of, policy

SPACE = dataclasses.replace(HOSTED, space=True, trusted_proxies=1)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, LOCAL),
        ({"SPACE_ID": "someone/some"}, SPACE),
        ({"SPACE_ID": ""}, LOCAL),
        ({"CHARRNN_HOSTED": "1"}, HOSTED),
        ({"CHARRNN_HOSTED": "0", "SPACE_ID": "someone/some"}, LOCAL),
        ({"CHARRNN_HOSTED": " ", "SPACE_ID": "someone/some"}, SPACE),
    ],
)
def test_which_policy_is_in_force(environ, expected):
    assert policy(environ) == expected


@pytest.mark.parametrize(
    ("environ", "name", "expected"),
    [
        ({"CHARRNN_MAX_TEXT_MB": "0.5"}, "max_text_bytes", 500_000),
        ({"CHARRNN_MAX_TEXT_MB": " 7 "}, "max_text_bytes", 7_000_000),
        ({"CHARRNN_MAX_TEXT_MB": ""}, "max_text_bytes", 200_000_000),
        ({"CHARRNN_MAX_DISK_GB": "2"}, "max_disk_bytes", 2_000_000_000),
        ({"CHARRNN_MAX_MINUTES": "1.5"}, "max_minutes", 1.5),
        ({"CHARRNN_MAX_QUEUED": "3"}, "max_queued", 3),
    ],
)
def test_a_variable_changes_one_limit_of_both_policies(environ, name, expected):
    for base, more in ((LOCAL, {}), (HOSTED, {"CHARRNN_HOSTED": "1"})):
        unset = getattr(base, name) if not environ[next(iter(environ))] else expected
        assert policy({**environ, **more}) == dataclasses.replace(base, **{name: unset})


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "inf", "1e9", "10000"])
def test_a_limit_out_of_range_is_refused(text):
    with pytest.raises(
        ConfigError, match=r"CHARRNN_MAX_TEXT_MB is .* from 0\.001 to 9,999"
    ):
        policy({"CHARRNN_MAX_TEXT_MB": text})


def test_every_limit_has_a_variable_of_its_own():
    variables = [limit.metadata["variable"] for limit in LIMITS]
    assert len(set(variables)) == len(variables) == 15
    assert all(name.startswith("CHARRNN_") for name in variables)


# --- visitors --------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        ("1.1.1.1", [], 0, "1.1.1.1"),
        ("1.1.1.1", ["2.2.2.2"], 0, "1.1.1.1"),  # anybody can send the header
        ("1.1.1.1", ["2.2.2.2"], 1, "2.2.2.2"),
        ("1.1.1.1", ["9.9.9.9, 2.2.2.2"], 1, "2.2.2.2"),  # the client wrote the left
        ("1.1.1.1", ["9.9.9.9", "2.2.2.2"], 1, "2.2.2.2"),  # in two headers
        ("1.1.1.1", ["9.9.9.9, 2.2.2.2,3.3.3.3"], 2, "2.2.2.2"),
        ("1.1.1.1", [], 1, "1.1.1.1"),
        ("1.1.1.1", [""], 1, "1.1.1.1"),
        ("1.1.1.1", ["2.2.2.2"], 3, "2.2.2.2"),  # fewer than there should be
        ("1.1.1.1", ["9.9.9.9, x<y"], 1, "1.1.1.1"),  # no address: not the left one
        ("1.1.1.1", ["2.2.2.2:5000"], 1, "2.2.2.2"),
        ("::1", ["[2001:db8:1:2:3:4:5:6]:443"], 1, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", [], 0, "2001:db8:1:2::/64"),
        ("::ffff:1.1.1.1", [], 0, "1.1.1.1"),
        ("fe80::1%eth0", [], 0, "fe80::/64"),
        ("testclient", [], 0, "testclient"),
    ],
)
def test_an_address_is_what_the_trusted_proxies_saw(peer, forwarded, proxies, expected):
    assert address_of(peer, forwarded, trusted_proxies=proxies) == expected
