"""The Mermaid state diagram of a definition, drawn from the definition itself."""

from __future__ import annotations

from states.definition import Definition


def mermaid(definition: Definition) -> str:
    """A `stateDiagram-v2`: solid moves by people, `⏱` where the clock may ask for it too."""
    lines = ["stateDiagram-v2", f"    [*] --> {definition.initial}"]
    lines += [f"    {name} : {state.label or name}" for name, state in definition.states.items()]
    arrows: dict[tuple[str, str], list[str]] = {}
    for trigger in definition.triggers:
        mark = " ⏱" if "system" in trigger.by else ""
        for source in definition.sources(trigger):
            target = source if trigger.to == "=" else trigger.to
            arrows.setdefault((source, target), []).append(trigger.name + mark)
    lines += [f"    {source} --> {target} : {', '.join(names)}" for (source, target), names in arrows.items()]
    lines += [f"    {name} --> [*]" for name, state in definition.states.items() if state.terminal]
    return "\n".join(lines) + "\n"
