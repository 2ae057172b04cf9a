"""What X does wrong all the time, a little: armed once, hitting calls by chance."""

from autores.sandbox.control import SandboxControl

Parameters = dict[str, object]
Fault = tuple[str, float, Parameters]
# Held for longer than the client waits.
_HELD: Parameters = {"seconds": 8}
_SOON: Parameters = {"reset_in_seconds": 4}

# Fault, share of the calls, parameters.
_WRITES: list[Fault] = [
    ("timeout_before", 0.01, _HELD),
    ("timeout_after", 0.015, _HELD),
    # The client gives up after 3 seconds, and X takes the post after 6.
    ("timeout_after", 0.005, {"seconds": 0, "effect_after": 6}),
    ("server_error", 0.02, {}),
    ("server_error", 0.02, {"applied": True, "status": 502}),
    ("server_error", 0.02, {"applied": True, "status": 408}),
    ("reset_before", 0.015, {}),
    ("reset_after", 0.02, {}),
    ("reset_mid_body", 0.02, {}),
    ("malformed_json", 0.01, {}),
    ("rate_limit_window", 0.01, _SOON),
    ("rate_limit_user_day", 0.005, _SOON),
]
_BACKGROUND: dict[str, list[Fault]] = {
    "create_post": _WRITES,
    "dm": _WRITES,
    "mentions": [
        ("rate_limit_window", 0.02, _SOON),
        ("server_error", 0.02, {}),
        ("reset_mid_body", 0.02, {}),
        ("malformed_json", 0.01, {}),
        ("timeout_before", 0.01, _HELD),
    ],
    "search": [("server_error", 0.03, {}), ("rate_limit_window", 0.02, _SOON)],
    "timeline": [
        ("server_error", 0.05, {}),
        ("reset_mid_body", 0.03, {}),
        ("rate_limit_window", 0.02, _SOON),
    ],
    "dm_events": [("server_error", 0.05, {}), ("rate_limit_window", 0.02, _SOON)],
    # The new pair is made and never arrives, while the old one is burned.
    "token": [("reset_after", 0.01, {}), ("server_error", 0.03, {})],
}


def arm_noise(x: SandboxControl) -> None:
    """Until the faults are cleared."""
    for route, faults in _BACKGROUND.items():
        for fault, share, params in faults:
            x.add_fault(route, fault, times=None, probability=share, params=params)


def relax_limits(x: SandboxControl) -> None:
    """X's own windows of fifteen minutes would outlast the run: its 429s are scripted instead."""
    x.set_limits(preset="pay_per_use")
    for route in ("mentions", "create_post", "dm", "dm_events", "timeline", "search"):
        x.set_limits(route=route, user_window=100_000, user_day=None, app_day=None)
