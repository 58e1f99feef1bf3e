"""What the fine-tuning libraries warn of, for tests in which a warning is an error."""

from __future__ import annotations

import pytest

# peft and TRL read a property of the model whose name transformers has changed.
QUIET = [pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")]
