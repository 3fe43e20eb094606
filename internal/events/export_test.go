package events

import irtv1 "irthub/gen/irt/v1"

// AudienceOf is who is told of a kind; 0 where nobody has said.
func AudienceOf(kind irtv1.EventKind) Audience { return audiences[kind] }
