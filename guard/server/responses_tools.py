"""The functions of a Responses request, and how they may be called, as chat has them.

Pure. Rules:
  `allowed_tools` becomes the tools it allows: the model sees no others, and every upstream understands it.
  Without tools nothing is said of their use: chat refuses it there, Responses does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from guard.errors import RequestError
from guard.server.request import validated

_FIELDS = ("name", "description", "parameters", "strict")


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Tool(_Open):
    type: str
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Function(_Open):
    name: str


class _Allowed(_Open):
    mode: Literal["auto", "required"]
    tools: list[_Function]


class _Body(_Open):
    tools: list[_Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None


def tools(document: Mapping[str, Any]) -> dict[str, Any]:
    """Chat's `tools`, `tool_choice` and `parallel_tool_calls`, as far as they are asked for. Raises RequestError."""
    body = validated(_Body, document)
    choice = _choice(body.tool_choice)
    offered = [_tool(tool) for tool in document.get("tools") or ()]
    if isinstance(choice, _Allowed):
        names = {function.name for function in choice.tools}
        offered = [tool for tool in offered if tool["function"]["name"] in names]
        choice = choice.mode
    if not offered:
        if choice not in (None, "auto", "none"):
            raise RequestError("tool_choice: no tool that it allows is in tools", param="tool_choice")
        return {}
    asked = {"tools": offered, "tool_choice": choice, "parallel_tool_calls": body.parallel_tool_calls}
    return {name: value for name, value in asked.items() if value is not None}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = {name: tool[name] for name in _FIELDS if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _choice(choice: str | Mapping[str, Any] | None) -> Any:
    if not isinstance(choice, Mapping):
        return choice
    match choice.get("type"):
        case "function":
            return {"type": "function", "function": {"name": validated(_Function, choice, "tool_choice").name}}
        case "allowed_tools":
            return validated(_Allowed, choice, "tool_choice")
        case kind:
            message = f"tool_choice.type: {kind!r} is neither function nor allowed_tools"
            raise RequestError(message, param="tool_choice.type", code="invalid_value")
