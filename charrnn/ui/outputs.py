"""Outputs on their way to the browser: those that are skipped cost nothing."""

import copy
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.state_holder import SessionState


class Blocks(gr.Blocks):
    """Gradio's blocks, where an output that is skipped costs nothing.

    Gradio makes a component anew for each, at each frame of a text that is written.
    """

    async def postprocess_data(
        self,
        block_fn: BlockFunction,
        predictions: list[Any] | dict[Any, Any],
        state: SessionState | None,
    ) -> list[Any]:
        """What a function returned, as it travels to the browser."""
        count = len(block_fn.outputs)
        several = count > 1 and isinstance(predictions, list | tuple)
        if not several or len(predictions) != count:
            return await super().postprocess_data(block_fn, predictions, state)
        kept = [i for i, value in enumerate(predictions) if not _is_skip(value)]
        some = copy.copy(block_fn)
        some.outputs = [block_fn.outputs[i] for i in kept]
        values: Any = [predictions[i] for i in kept]
        if len(values) == 1:  # a function of one output returns it bare
            values = values[0]
        result: list[Any] = [gr.skip() for _ in predictions]
        if kept:
            done = await super().postprocess_data(some, values, state)
            for place, value in zip(kept, done, strict=True):
                result[place] = value
        return result


def _is_skip(value: object) -> bool:
    return isinstance(value, dict) and value == gr.skip()
