"""Every reason a call may be refused for: its status, and what it means to a caller."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """The status it comes with, and what it means."""

    status: int
    meaning: str


REASONS = {
    "host_not_allowed": Reason(400, "the Host header is none of QT_ALLOWED_HOSTS"),
    "unauthorized": Reason(401, "no token was sent, or one that is not in force"),
    "forbidden": Reason(403, "the token is in force, but not for this call"),
    "unknown_strategy": Reason(404, "there is no such strategy; `nearest` is one there is"),
    "unknown_decision": Reason(404, "the strategy has no decision of this id"),
    "unknown_version": Reason(404, "there is no such version, or it is of another strategy"),
    "unknown_run": Reason(404, "there is no such run, or it is of another strategy"),
    "unknown_sample": Reason(404, "there is no such sample, or it is of another strategy"),
    "decision_conflict": Reason(409, "the id is stored with another body"),
    "market_mismatch": Reason(409, "simulated or replayed samples never share a strategy with others"),
    "fill_conflict": Reason(409, "another fill of this leg is stored under this `fill_id`, or both have none"),
    "long_only": Reason(409, "the strategy opens no short positions"),
    "not_a_decision": Reason(409, "it is a demo or warm-start row and cannot be executed"),
    "already_closed": Reason(409, "the position is closed and takes no further fill"),
    "side_conflict": Reason(409, "the position was entered on the other side"),
    "outcome_conflict": Reason(409, "it is closed with another outcome"),
    "not_executed": Reason(409, "it was never executed, and `side`, `entry_price`, `quantity` do not come with it"),
    "entry_conflict": Reason(409, "the entry told with the outcome is not the stored one"),
    "quantity_exceeds_entry": Reason(409, "more would leave than is left; `remaining` says how much is"),
    "no_active_model": Reason(409, "no version is active, and none was named"),
    "retraining_in_progress": Reason(409, "one of this strategy runs already: `run_id`"),
    "self_audit_in_progress": Reason(409, "one of this strategy runs already: `run_id`"),
    "artifact_missing": Reason(409, "the version's file is gone"),
    "artifact_corrupt": Reason(409, "the version's file is not the one that was published"),
    "schema_mismatch": Reason(409, "the version needs features that decisions no longer have: `missing`"),
    "not_recommended": Reason(409, "the gate forbids it; `force=true&reason=…` overrides"),
    "already_active": Reason(409, "the version decides already; it cannot be its own shadow"),
    "too_many_shadows": Reason(409, "as many versions as may score as shadows do: `shadows`"),
    "different_strategies": Reason(409, "the two versions are of different strategies"),
    "not_quarantined": Reason(409, "the sample trains as any other, and no person ruled on it"),
    "activation_changed": Reason(409, "somebody else changed it at the same moment; try again"),
    "nothing_to_roll_back": Reason(409, "no other version was active before"),
    "body_too_large": Reason(413, "the body is larger than `max_bytes`"),
    "unsupported_media_type": Reason(415, "the body's Content-Type is not JSON"),
    "invalid_input": Reason(422, "a parameter, key or value cannot be accepted: `field`, and all of them in `errors`"),
    "same_version": Reason(422, "both versions are the same one"),
    "invalid_json": Reason(422, "the body is not JSON"),
    "repeated_key": Reason(422, "an object of the body has a key twice"),
    "price_required": Reason(422, "no `price`, no `candles`, and no symbol of the service's own market"),
    "feature_names_mismatch": Reason(422, "other features than the strategy's: `missing` and `extra`"),
    "too_many_wrong_tokens": Reason(429, "too many wrong tokens from this address; a right one is never refused"),
    "internal_error": Reason(500, "nobody foresaw it; the service's log has the cause under `request_id`"),
    "database_unavailable": Reason(503, "the database is busy, gone or full; nothing was changed, try again"),
    "no_verified_model": Reason(503, "a version is active, but no file of any version can be verified"),
}
EVERYWHERE = (
    "host_not_allowed",
    "unauthorized",
    "forbidden",
    "body_too_large",
    "invalid_input",
    "too_many_wrong_tokens",
    "internal_error",
    "database_unavailable",
)
OPEN = ("host_not_allowed", "internal_error")
WITH_BODY = ("unsupported_media_type", "invalid_json", "repeated_key")
