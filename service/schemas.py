"""What requests and answers look like; the OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

OperatingPoint = Literal["balanced", "precision", "recall"]
Reason = Literal["other_language", "too_short", "low_vocabulary_coverage", "near_threshold"]
Topics = Annotated[list[StrictStr], Field(min_length=1)]


class PassageIn(BaseModel):
    """A passage to classify; `id` comes back with its result, other keys are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: StrictStr | Annotated[StrictInt, Field(ge=-(2**63), le=2**64 - 1)] | None = None
    text: StrictStr


class Options(BaseModel):
    """What a request may ask for beside the topics."""

    model_config = ConfigDict(extra="forbid", strict=True)

    explain: bool = Field(False, description="give the words behind each topic")
    operating_point: OperatingPoint = Field("balanced", description="which thresholds decide")
    topics: Topics | None = Field(None, description="answer for these topics only")


class ClassifyIn(Options):
    """Body of ``POST /v1/classify``: one text, or passages."""

    text: StrictStr | None = Field(None, description="one text; or else `passages`")
    passages: list[PassageIn] | None = Field(None, description="passages; or else `text`")

    @model_validator(mode="after")
    def _one_of_both(self) -> ClassifyIn:
        if (self.text is None) == (self.passages is None):
            raise ValueError('expected either "text" or "passages"')
        return self


class ArticleIn(Options):
    """Body of ``POST /v1/articles``: plain text, or HTML that is cleaned first; a title is a passage of its own."""

    text: StrictStr | None = Field(None, description="plain text, a paragraph a line; or `html`")
    html: StrictStr | None = Field(None, description="a page as it was fetched; or else `text`")
    title: StrictStr | None = Field(None, description="classified as a passage of its own")

    @model_validator(mode="after")
    def _one_of_both(self) -> ArticleIn:
        if (self.text is None) == (self.html is None):
            raise ValueError('expected either "text" or "html"')
        return self


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Part(_Out):
    """What a stretch of the text adds to a topic's log-odds; offsets count code points."""

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    contribution: float


class Result(_Out):
    """The answer for one passage. `topics` are decisions, `scores` calibrated probabilities."""

    id: str | int | None
    language: str = Field(description="ISO 639-1; `und` where it cannot be told")
    topics: list[str] = Field(description="most probable first")
    scope: float = Field(ge=0, le=1, description="probability of being about online platforms")
    scores: dict[str, Annotated[float, Field(ge=0, le=1)]]
    needs_review: bool
    reasons: list[Reason]
    truncated: bool
    vocabulary_coverage: float = Field(ge=0, le=1, description="share of the words that are known")
    explanation: dict[str, list[Part]] = Field(default_factory=dict, description="with `explain`")


class TaxonomyOut(_Out):
    """Which taxonomy the topics are of."""

    name: str
    version: str | int


class ModelUsed(_Out):
    """The model that answered. `unreached` are topics that miss the aim of the operating point."""

    version: str
    taxonomy: TaxonomyOut
    operating_point: OperatingPoint
    unreached: list[str]


class ClassifyOut(_Out):
    """Results in the order of the passages."""

    model: ModelUsed
    results: list[Result]


class ArticlePassage(Result):
    """A passage of an article: ``text[start:end]`` of the cleaned text; both null for the title.

    `furniture` marks what belongs to the page and not to the article; it has no topics.
    """

    start: int | None
    end: int | None
    title: bool
    furniture: bool


class ArticleTopic(_Out):
    """A topic of an article: the passage that it is most probable in, and how many have it."""

    topic: str
    score: float = Field(ge=0, le=1, description="the highest over the passages")
    passages: int = Field(ge=1, description="how many passages have the topic")


class ArticleOut(_Out):
    """The cleaned text, its passages and the article's topics."""

    model: ModelUsed
    text: str = Field(description="offsets point into this")
    topics: list[ArticleTopic] = Field(description="most probable first")
    passages: list[ArticlePassage]


class Threshold(_Out):
    """From which probability a topic is given, and what that bought on held-out passages."""

    model_config = ConfigDict(extra="allow")

    threshold: float = Field(ge=0, le=1)


class TopicOut(_Out):
    """A topic: what it is, when it is given, how well it does."""

    model_config = ConfigDict(extra="allow")

    slug: str
    thresholds: dict[OperatingPoint, Threshold]
    held_out: dict[str, Any]


class Standard(_Out):
    """A standard whose codes topics are about; `prefix` is left out of its codes here."""

    name: str
    prefix: str
    codes: dict[str, str] = Field(description="the standard's own name of each code")


class CrosswalkOut(_Out):
    """How to read the `codes` of topics: what a topic says of a code, and which codes there are."""

    version: str
    relation: Literal["is about"]
    standards: dict[str, Standard]


class TopicsOut(_Out):
    """All topics, in the order of the taxonomy; `codes` of a topic by standard, as in `crosswalk`."""

    taxonomy: TaxonomyOut
    crosswalk: CrosswalkOut
    topics: list[TopicOut]


class ModelSummary(_Out):
    """A version: what it was trained on and how well it does."""

    version: str
    taxonomy: TaxonomyOut
    languages: list[str]
    training: dict[str, Any]
    metrics: dict[str, Any]
    learning_curve: list[dict[str, float]] = Field(
        description="mean average precision for fits on ever more passages"
    )


class ModelOut(ModelSummary):
    """The model that answers."""

    live_since: str | None = Field(description="UTC, ISO 8601; null where no registry says")


class ListedModel(ModelOut):
    """A version in the registry."""

    live: bool


class ModelsOut(_Out):
    """Every version, oldest first."""

    live: str | None
    models: list[ListedModel]


class Comparison(_Out):
    """A rate of recent traffic beside the training data's; `z` is the difference in standard errors."""

    recent: float | None
    training: float | None
    z: float | None


class Coverage(_Out):
    """Mean share of a passage's words that the model knows."""

    recent: float | None
    training: float | None


class LanguageDrift(_Out):
    """Recent traffic in one language."""

    passages: int
    share: Comparison
    vocabulary_coverage: Coverage
    topics: dict[str, Comparison]


class LanguageStep(_Out):
    """Traffic in one language in one step of the window; rates are shares of its passages."""

    passages: int
    vocabulary_coverage: float | None
    topics: dict[str, float]


class DriftOut(_Out):
    """Recent traffic of all workers beside the training data."""

    model: str
    window_seconds: int
    passages: int
    languages: dict[str, LanguageDrift]
    step_seconds: int
    history: list[dict[str, LanguageStep]] = Field(
        description="the window in steps by language, oldest first; the last one is not over yet"
    )


class Health(_Out):
    """The process answers."""

    status: Literal["ok"]


class Ready(_Out):
    """A model is loaded and checked."""

    status: Literal["ready"]
    model: str


class OpenApiDocument(BaseModel):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: Literal["3.1.0"]
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


class PlaceOfError(BaseModel):
    """One thing wrong with a body, and where."""

    model_config = ConfigDict(extra="allow")

    where: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457); `type` is stable, `where` points into the request, `limit` is the limit that was passed."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    where: str = Field("", description="where in the request, such as passages[3].text")
    limit: float = Field(0, description="the limit that was passed")
    line: int = Field(0, description="in a stream: which line")
    errors: list[PlaceOfError] = Field(default_factory=list, description="all that was wrong")
