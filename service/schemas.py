"""What requests look like."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

OperatingPoint = Literal["balanced", "precision", "recall"]


class PassageIn(BaseModel):
    """A passage to classify; `id` comes back with its result, other keys are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: StrictStr | StrictInt | None = None
    text: StrictStr


class Options(BaseModel):
    """What a request may ask for beside the topics."""

    model_config = ConfigDict(extra="forbid", strict=True)

    explain: bool = Field(False, description="give the words behind each topic")
    operating_point: OperatingPoint = Field("balanced", description="which thresholds decide")
    topics: Annotated[list[StrictStr], Field(min_length=1)] | None = Field(
        None, description="answer for these topics only"
    )


class ClassifyIn(Options):
    """Body of ``POST /v1/classify``: one text, or passages."""

    text: StrictStr | None = None
    passages: list[PassageIn] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ClassifyIn:
        if (self.text is None) == (self.passages is None):
            raise ValueError('expected either "text" or "passages"')
        return self
