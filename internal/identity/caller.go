// Package identity knows who is calling: it checks bearer tokens, of the hub's own
// key and of configured OpenID Connect issuers, and client certificates, reads what
// the caller states (purpose, reason, on whose behalf), and refuses those who are
// shut out or whose role may not call a method. What a caller may see of which child is decided by package sharing.
package identity

import (
	"context"
	"strings"

	irtv1 "irthub/gen/irt/v1"
)

// Caller is who is calling, why, and from where.
type Caller struct {
	Agency       string // the agency's id
	Practitioner string // the id of the practitioner in that agency, or ""
	OnBehalfOf   string // agencies/{agency}/practitioners/{practitioner}, or ""
	Role         irtv1.Role
	Kind         irtv1.AgencyKind // what the agency is, by the directory
	Sensitive    bool             // the agency is a sensitive service
	TokenID      string           // the token's jti, or the certificate's thumbprint
	Issuer       string           // who issued the token, or CertificateIssuer
	Purpose      irtv1.Purpose    // as stated, or unspecified
	Reason       string           // as stated, or ""
	Address      string           // the client's network address, without its port
}

// AgencyName is the resource name of the caller's agency.
func (c Caller) AgencyName() string { return "agencies/" + c.Agency }

// PractitionerName is the resource name of the practitioner, or "".
func (c Caller) PractitionerName() string {
	if c.Practitioner == "" {
		return ""
	}
	return c.AgencyName() + "/practitioners/" + c.Practitioner
}

// OnBehalfOfPractitioner is the id of the practitioner acted for, or "".
func (c Caller) OnBehalfOfPractitioner() string {
	_, id, _ := strings.Cut(c.OnBehalfOf, "/practitioners/")
	return id
}

// Identified reports whether there is a caller at all: calls of public methods
// have none.
func (c Caller) Identified() bool { return c.Agency != "" }

// AgencyFacts says what the directory knows of an agency; one that is not
// registered is not active. It is asked on every call, so it must be a look-up in
// memory, kept fresh within seconds.
type AgencyFacts func(ctx context.Context, agencyID string) (kind irtv1.AgencyKind, sensitive, active bool, err error)

type callerKey struct{}

// known is a caller and what Authorise has yet to judge.
type known struct {
	caller     Caller
	refused    error // why the caller is shut out: revoked, or not active
	statement  error // what is wrong with the stated purpose, reason or on-behalf-of
	token      *token
	thumbprint string // of the client certificate, or ""
}

// FromContext returns the caller, or the zero Caller in a call of a public method.
func FromContext(ctx context.Context) Caller {
	if k, ok := ctx.Value(callerKey{}).(*known); ok {
		return k.caller
	}
	return Caller{}
}

// NewContext gives ctx a caller. It is for imports on the command line, which
// are trusted, and for tests; calls get theirs from Authenticate.
func NewContext(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, &known{caller: c})
}

// RoleText is a role as tokens and users write it: "agency-system"; "" if it is none.
func RoleText(r irtv1.Role) string { return roleTexts[r] }

// ParseRole reads what RoleText writes.
func ParseRole(s string) (irtv1.Role, bool) {
	for r, text := range roleTexts {
		if s == text {
			return r, true
		}
	}
	return irtv1.Role_ROLE_UNSPECIFIED, false
}

// RoleTexts lists the roles as users write them, in the schema's order.
func RoleTexts() []string {
	var out []string
	values := irtv1.Role(0).Descriptor().Values()
	for i := range values.Len() {
		if text, ok := roleTexts[irtv1.Role(values.Get(i).Number())]; ok {
			out = append(out, text)
		}
	}
	return out
}

var roleTexts = func() map[irtv1.Role]string {
	texts := map[irtv1.Role]string{}
	for n, name := range irtv1.Role_name {
		if n != 0 {
			texts[irtv1.Role(n)] = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "ROLE_")), "_", "-")
		}
	}
	return texts
}()

// PurposeText is a purpose as callers state it: "DIRECT_CARE".
func PurposeText(p irtv1.Purpose) string {
	if p == irtv1.Purpose_PURPOSE_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(p.String(), "PURPOSE_")
}

// ParsePurpose reads what PurposeText writes.
func ParsePurpose(s string) (irtv1.Purpose, bool) {
	n, ok := irtv1.Purpose_value["PURPOSE_"+s]
	return irtv1.Purpose(n), ok && n != 0
}

// PurposeTexts lists the purposes as callers state them.
func PurposeTexts() []string {
	var out []string
	values := irtv1.Purpose(0).Descriptor().Values()
	for i := range values.Len() {
		if p := irtv1.Purpose(values.Get(i).Number()); p != 0 {
			out = append(out, PurposeText(p))
		}
	}
	return out
}
