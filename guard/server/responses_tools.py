"""The functions of a Responses request, and how they may be called, as chat has them.

Pure. Rules:
  `allowed_tools` becomes the tools it allows: the model sees no others, and every upstream understands it.
  Without tools nothing is said of their use: chat refuses it there, Responses does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from guard.errors import RequestError
from guard.server.request import OpenBody, short, validated

_FIELDS = ("name", "description", "parameters", "strict")


class _Tool(OpenBody):
    type: str
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Function(OpenBody):
    name: str


class _Allowed(OpenBody):
    mode: Literal["auto", "required"]
    tools: list[_Function]


class _Body(OpenBody):
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None


def tools(document: Mapping[str, Any]) -> dict[str, Any]:
    """Chat's `tools`, `tool_choice` and `parallel_tool_calls`, as far as they are asked for. Raises RequestError."""
    body = validated(_Body, document)
    choice = _choice(body.tool_choice)
    offered = [_tool(tool) for tool in document.get("tools") or ()]
    if isinstance(choice, _Allowed):
        offered, choice = _allowed(offered, choice), choice.mode
    if not offered and choice in (None, "auto", "none"):
        return {}
    if not offered:
        raise RequestError(f"tool_choice: {choice!r} without tools", param="tool_choice", code="invalid_value")
    asked = {"tools": offered, "tool_choice": choice, "parallel_tool_calls": body.parallel_tool_calls}
    return {name: value for name, value in asked.items() if value is not None}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = {name: tool[name] for name in _FIELDS if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _allowed(offered: Sequence[dict[str, Any]], choice: _Allowed) -> list[dict[str, Any]]:
    names = {function.name for function in choice.tools}
    if missing := names - {tool["function"]["name"] for tool in offered}:
        message = f"tool_choice.tools: {sorted(missing)!r} is not among tools"
        raise RequestError(message, param="tool_choice.tools", code="invalid_value")
    return [tool for tool in offered if tool["function"]["name"] in names]


def _choice(choice: Any) -> Any:
    match choice:
        case None | "auto" | "none" | "required":
            return choice
        case {"type": "function"}:
            return {"type": "function", "function": {"name": validated(_Function, choice, "tool_choice").name}}
        case {"type": "allowed_tools"}:
            return validated(_Allowed, choice, "tool_choice")
        case _:
            message = f"tool_choice: {short(choice)} is none of auto, none, required, a function and allowed_tools"
            raise RequestError(message, param="tool_choice", code="invalid_value")
