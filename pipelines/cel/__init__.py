"""CEL, Google's Common Expression Language: conditions, keys and values that are given as text.

expression.py  an expression over named variables
item.py        the `item` of a message or row; the types of options
values.py      values, conditions and merges over items, for Beam YAML
"""

from .expression import Expression
from .item import cases, condition, item_of, key

__all__ = ["Expression", "cases", "condition", "item_of", "key"]
