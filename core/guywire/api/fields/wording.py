"""What is said of values that several kinds of fields refuse: the reference's words."""

from __future__ import annotations

BLANK = "This field may not be blank."
NULL = "This field may not be null."
NOT_JSON = "Value must be valid JSON."
NOT_JSON_OBJECT = "the supplied value is not a JSON object"
NOT_A_CONFIGURATION = "Unexpected configuration format."
