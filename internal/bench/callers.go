package bench

import (
	"context"
	"net/http"
	"sync"

	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// callers are the area's agencies as they call the hub: with tokens of the hub's
// own key, and a purpose.
type callers struct {
	key *identity.SigningKey

	mu    sync.Mutex
	known map[who]metadata.MD
}

type who struct {
	agency string
	role   irtv1.Role
}

func newCallers(key *identity.SigningKey) *callers {
	return &callers{key: key, known: map[who]metadata.MD{}}
}

// headers are what a caller sends with each call.
func (c *callers) headers(agency string, role irtv1.Role) (metadata.MD, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := who{agency, role}
	if md := c.known[w]; md != nil {
		return md, nil
	}
	claims := identity.Claims{Agency: agency, Role: role, TTL: identity.MaxLifetime}
	if role == irtv1.Role_ROLE_PRACTITIONER {
		claims.Practitioner = practitionerID(0)
	}
	token, err := c.key.Issue(claims)
	if err != nil {
		return nil, err
	}
	c.known[w] = metadata.Pairs("authorization", "Bearer "+token,
		identity.PurposeKey, identity.PurposeText(irtv1.Purpose_PURPOSE_DIRECT_CARE))
	return c.known[w], nil
}

// as gives ctx the headers of an agency's system or practitioner.
func (c *callers) as(ctx context.Context, agency string, role irtv1.Role) (context.Context, error) {
	md, err := c.headers(agency, role)
	if err != nil {
		return nil, err
	}
	return metadata.NewOutgoingContext(ctx, md), nil
}

// reader are the headers of the practitioner that a worker reads as: workers of
// one connection are of one agency.
func (c *callers) reader(worker int) (metadata.MD, error) {
	return c.headers(involved[worker%connections].agency, irtv1.Role_ROLE_PRACTITIONER)
}

// overHTTP are the same headers for REST.
func overHTTP(md metadata.MD) http.Header {
	h := http.Header{}
	for name, values := range md {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	return h
}
