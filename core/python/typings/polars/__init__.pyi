from typing import Any

class DataFrame:
    height: int
    def __init__(self, data: Any) -> None: ...
    def __getitem__(self, key: str) -> Any: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...

class Series:
    def __init__(self, name: Any = None, values: Any = None, dtype: Any = None) -> None: ...

Categorical: Any
Enum: Any
List: Any
Array: Any
String: Any
