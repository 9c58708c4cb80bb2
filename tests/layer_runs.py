"""Tiny stacks for tests, trained layer by layer."""

from fit_runs import fit

WIDTHS = (12, 8, 6)
# Pixels a side, images as they are, and rates that show something in a few steps.
SMALL = {
    "augment__flip": False,
    "augment__crop": 1.0,
    "augment__color": 0.0,
    "data__workers": 0,
    "model__backbone": "mlp",
    "model__input_size": 9,
    "model__dim": 0,
    "model__layer_decay": 1.0,
    "model__trained": "last_block",
    "optimizer__rate": 0.02,
    "schedule__warmup_steps": 0,
}


def grown(out, method, widths=WIDTHS, **changes):
    """A run for each layer in out/1, out/2, ...; returns the last one's folder."""
    is_linear = changes.pop("model__has_linear_code", False)
    for count in range(1, len(widths) + 1):
        stage(
            out / str(count),
            method,
            widths[:count],
            out / str(count - 1) if count > 1 else "",
            model__has_linear_code=is_linear and count == len(widths),
            **changes,
        )
    return out / str(len(widths))


def stage(out, method, widths, init="", **changes):
    settings = {"model__widths": list(widths), "model__init": str(init)}
    return fit(out, method=method, **SMALL | settings | changes)
