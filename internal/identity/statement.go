package identity

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// The metadata (over REST: headers) in which a caller states its purpose, its
// reason, and the practitioner it acts for.
const (
	PurposeKey    = "irt-purpose"
	ReasonKey     = "irt-reason"
	OnBehalfOfKey = "irt-on-behalf-of"
)

// maxReason is in characters.
const maxReason = 200

var practitionerName = regexp.MustCompile(
	`^agencies/([A-Za-z0-9][A-Za-z0-9._-]{0,62})/practitioners/([A-Za-z0-9][A-Za-z0-9._-]{0,62})$`)

// state reads what the caller states into c. What is wrong with it is returned for
// Authorise to refuse, so that even a refused call is recorded with the rest.
func state(ctx context.Context, c *Caller) error {
	var faults []standard.Fault
	reason := irtv1.ErrorReason_ERROR_REASON_VALIDATION_FAILED
	if f, ok := statePurpose(ctx, c); !ok {
		faults = append(faults, f)
		reason = irtv1.ErrorReason_ERROR_REASON_PURPOSE_UNKNOWN
	}
	if f, ok := stateReason(ctx, c); !ok {
		faults = append(faults, f)
	}
	if f, ok := stateOnBehalfOf(ctx, c); !ok {
		faults = append(faults, f)
	}
	if faults == nil {
		return nil
	}
	return rpc.InvalidFor(reason, faults)
}

// stated returns the one value of a metadata key, "" if there is none.
func stated(ctx context.Context, key string) (value string, ok bool) {
	values := metadata.ValueFromIncomingContext(ctx, key)
	switch len(values) {
	case 0:
		return "", true
	case 1:
		return strings.TrimSpace(values[0]), true
	default:
		return "", false
	}
}

func statePurpose(ctx context.Context, c *Caller) (standard.Fault, bool) {
	value, ok := stated(ctx, PurposeKey)
	if ok && value == "" {
		return standard.Fault{}, true
	}
	if ok {
		if c.Purpose, ok = ParsePurpose(value); ok {
			return standard.Fault{}, true
		}
	}
	return standard.Fault{
		Field: PurposeKey, RuleID: "PURPOSE_UNKNOWN",
		Description: "It is not a purpose that the hub knows.", Action: "Send one of " + purposeList() + ".",
	}, false
}

func purposeList() string { return strings.Join(PurposeTexts(), ", ") }

func errPurposeRequired() error {
	return rpc.InvalidFor(irtv1.ErrorReason_ERROR_REASON_PURPOSE_REQUIRED, []standard.Fault{{
		Field: PurposeKey, RuleID: "PURPOSE_REQUIRED", Description: "The call discloses personal data, so it needs a purpose.",
		Action: "Send one of " + purposeList() + ".",
	}})
}

func stateReason(ctx context.Context, c *Caller) (standard.Fault, bool) {
	value, ok := stated(ctx, ReasonKey)
	if !ok || !utf8.ValidString(value) || utf8.RuneCountInString(value) > maxReason || strings.ContainsFunc(value, unicode.IsControl) {
		return standard.Fault{
			Field: ReasonKey, RuleID: "REASON_FORM",
			Description: fmt.Sprintf("It must be one text of at most %d characters, in UTF-8 and without control characters.", maxReason),
			Action:      "Say in a few words why the access is needed.",
		}, false
	}
	c.Reason = value
	if c.Purpose == irtv1.Purpose_PURPOSE_EMERGENCY && value == "" {
		return standard.Fault{
			Field: ReasonKey, RuleID: "REASON_REQUIRED",
			Description: "The purpose EMERGENCY needs a reason.", Action: "Say in a few words what the emergency is.",
		}, false
	}
	return standard.Fault{}, true
}

// stateOnBehalfOf holds the practitioner acted for to the caller's role: a mediator
// must name one, of any agency; others may name one of their own agency, and a
// practitioner acts for nobody else.
func stateOnBehalfOf(ctx context.Context, c *Caller) (standard.Fault, bool) {
	fault := standard.Fault{
		Field: OnBehalfOfKey, RuleID: "ON_BEHALF_OF_FORM",
		Description: "It must be one practitioner's name.", Action: "Send agencies/{agency}/practitioners/{practitioner}.",
	}
	value, ok := stated(ctx, OnBehalfOfKey)
	if !ok {
		return fault, false
	}
	mediates := c.Role == irtv1.Role_ROLE_MEDIATOR
	if value == "" {
		fault.RuleID, fault.Description = "ON_BEHALF_OF_REQUIRED", "A mediator must say for which practitioner it asks."
		return fault, !mediates
	}
	parts := practitionerName.FindStringSubmatch(value)
	if parts == nil {
		return fault, false
	}
	if !mediates && (parts[1] != c.Agency || (c.Role == irtv1.Role_ROLE_PRACTITIONER && parts[2] != c.Practitioner)) {
		fault.RuleID, fault.Description = "ON_BEHALF_OF_FOREIGN", "Only a mediator may act for a practitioner of another agency, and a practitioner for nobody else."
		fault.Action = "Leave it out, or have a mediator ask."
		return fault, false
	}
	c.OnBehalfOf = value
	return standard.Fault{}, true
}

// Address is the client's network address: the peer of the connection, which for
// REST callers the in-process gateway sets to that of the HTTP client. Headers
// such as x-forwarded-for are never believed.
func Address(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	if host, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
		return host
	}
	return p.Addr.String()
}
