package events

import (
	"fmt"

	irtv1 "irthub/gen/irt/v1"
)

// Audience is who may receive an event.
type Audience int16

// The audiences.
const (
	Involved     Audience = iota + 1 // agencies that work with the child, as policy allows, and data managers
	DataManagers                     // data managers of the hub
	Named                            // the agencies of Event.Agencies, and data managers
	Addressed                        // the agencies of Event.Agencies and nobody else: data managers neither
)

// audiences say who is told of each kind of event.
var audiences = map[irtv1.EventKind]Audience{
	irtv1.EventKind_EVENT_KIND_CHILD_CREATED:                Involved,
	irtv1.EventKind_EVENT_KIND_CHILD_UPDATED:                Involved,
	irtv1.EventKind_EVENT_KIND_CHILD_WITHDRAWN:              Involved,
	irtv1.EventKind_EVENT_KIND_CHILD_MERGED:                 Involved,
	irtv1.EventKind_EVENT_KIND_CHILD_SPLIT:                  Involved,
	irtv1.EventKind_EVENT_KIND_INVOLVEMENT_SUBMITTED:        Involved,
	irtv1.EventKind_EVENT_KIND_INVOLVEMENT_ENDED:            Involved,
	irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_SET:        Involved,
	irtv1.EventKind_EVENT_KIND_CHILD_RECORD_MOVED:           Named, // whose record it is
	irtv1.EventKind_EVENT_KIND_MATCH_REVIEW_RAISED:          DataManagers,
	irtv1.EventKind_EVENT_KIND_MATCH_REVIEW_AWAITING_SECOND: DataManagers,
	irtv1.EventKind_EVENT_KIND_MATCH_REVIEW_RESOLVED:        DataManagers,
	irtv1.EventKind_EVENT_KIND_EMERGENCY_ACCESS:             DataManagers,
	irtv1.EventKind_EVENT_KIND_CONSENT_RECORDED:             Involved,
	irtv1.EventKind_EVENT_KIND_CONSENT_WITHDRAWN:            Involved,
	irtv1.EventKind_EVENT_KIND_SHIELD_PROPOSED:              DataManagers,
	irtv1.EventKind_EVENT_KIND_CHILD_SHIELDED:               Involved,
	irtv1.EventKind_EVENT_KIND_SHIELD_ENDED:                 Involved,
	irtv1.EventKind_EVENT_KIND_CHILD_ARCHIVED:               Involved, // with which nobody works, so data managers alone
	irtv1.EventKind_EVENT_KIND_CHILD_RESTORED:               Involved,
	irtv1.EventKind_EVENT_KIND_CHILD_PURGED:                 Named, // whose records went
	irtv1.EventKind_EVENT_KIND_SHARING_REFUSED:              DataManagers,
	irtv1.EventKind_EVENT_KIND_TOKEN_REVOKED:                DataManagers,
	irtv1.EventKind_EVENT_KIND_ACCESS_LIMIT_EXCEEDED:        DataManagers,
	irtv1.EventKind_EVENT_KIND_SUBSCRIPTION_FAILED:          Named, // whose subscription it is
	irtv1.EventKind_EVENT_KIND_CONCERN_SUBMITTED:            Involved,
	irtv1.EventKind_EVENT_KIND_CONCERN_CLOSED:               Involved,
	irtv1.EventKind_EVENT_KIND_CONCERN_WITHDRAWN:            Involved,
	irtv1.EventKind_EVENT_KIND_CONCERN_ESCALATED:            Involved,
	irtv1.EventKind_EVENT_KIND_CONCERN_REVIEW_OVERDUE:       Addressed,
	irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_WANTED:     DataManagers,
	irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_NOMINATED:  Addressed,
	irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_ACCEPTED:   Addressed,
	irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_DECLINED:   Addressed,
	irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_WITHDRAWN:  Addressed,
	irtv1.EventKind_EVENT_KIND_CONTACT_REQUESTED:            Addressed,
	irtv1.EventKind_EVENT_KIND_CONTACT_ANSWERED:             Addressed,
	irtv1.EventKind_EVENT_KIND_CONTACT_DECLINED:             Addressed,
	irtv1.EventKind_EVENT_KIND_CONTACT_MESSAGE:              Addressed,
	irtv1.EventKind_EVENT_KIND_CONTACT_CANCELLED:            Addressed,
	irtv1.EventKind_EVENT_KIND_CONTACT_EXPIRED:              Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_SENT:                Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_ACKNOWLEDGED:        Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_ACCEPTED:            Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_DECLINED:            Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_REDIRECTED:          Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_STARTED:             Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_CLOSED:              Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_WITHDRAWN:           Addressed,
	irtv1.EventKind_EVENT_KIND_REFERRAL_OVERDUE:             Addressed,
	irtv1.EventKind_EVENT_KIND_PLAN_CHILD_SEEN:              Addressed,
	irtv1.EventKind_EVENT_KIND_PLAN_SUBMITTED:               Involved,
	irtv1.EventKind_EVENT_KIND_PLAN_ENDED:                   Involved,
}

// audienceOf is who is told of a kind of event.
func audienceOf(kind irtv1.EventKind) (Audience, error) {
	a, known := audiences[kind]
	if !known {
		return 0, fmt.Errorf("events: it is not said who is told of %v", kind)
	}
	return a, nil
}
