"""How callers name the enrollments that something is for."""

from typing import Annotated

import msgspec

Target = Annotated[str, msgspec.Meta(min_length=1, max_length=512, description="An external enrollment id.")]
