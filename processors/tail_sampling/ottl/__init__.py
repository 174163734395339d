"""The OpenTelemetry Transformation Language, as far as conditions on spans and span events need it.

    condition(text, context) → a function from a `Subject` to a bool

Grammar (contrib `pkg/ottl`, v0.158; what is left out is refused with its position):

    condition   = term { "or" term }
    term        = factor { "and" factor }
    factor      = [ "not" ] ( value comparison value | "true" | "false" | converter | "(" condition ")" )
    comparison  = "==" | "!=" | "<" | "<=" | ">" | ">="
    value       = sum | "nil" | string | bytes | "true" | "false" | ENUM | list | map
    sum         = product { ( "+" | "-" ) product }
    product     = operand { ( "*" | "/" ) operand }
    operand     = [ "+" | "-" ] ( int | float | converter | path | "(" sum ")" )
    converter   = Name "(" [ argument { "," argument } ] ")" { key }
    argument    = [ name "=" ] value
    path        = name { key } { "." name { key } }
    key         = "[" ( string | int ) "]"
    list        = "[" [ value { "," value } ] "]"
    map         = "{" [ string ":" value { "," string ":" value } ] "}"

A path begins with its context (`span.`, `spanevent.`, `resource.`, `scope.` or `instrumentation_scope.`) or means the
context of the condition.
"""

from processors.tail_sampling.ottl.compiler import Condition, Context, condition
from processors.tail_sampling.ottl.values import ConditionFailed, Subject

__all__ = ["Condition", "ConditionFailed", "Context", "Subject", "condition"]
