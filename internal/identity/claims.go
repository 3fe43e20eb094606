package identity

import (
	"encoding/json"
	"strings"
)

// translate puts the claims of the hub into the place of those in which this issuer
// says the same.
func (i *issuer) translate(payload []byte) ([]byte, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(payload, &all); err != nil {
		return nil, errToken("its claims are not of the right types")
	}
	agency, okAgency := claimText(all, i.Claims.Agency)
	practitioner, okPractitioner := claimText(all, i.Claims.Practitioner)
	role, okRole := claimRole(all, i.Claims.Role)
	if !okAgency || !okPractitioner || !okRole {
		return nil, errToken("its claims are not of the right types, or name more than one agency, practitioner or role of the hub")
	}
	if client, ok := i.client(all); ok {
		agency, practitioner, role = client.Agency, "", client.Role
	}
	said := map[string]any{"irt_agency": agency, "irt_practitioner": practitioner, "irt_role": role}
	for _, name := range registered {
		if value, ok := all[name]; ok { // and not under a name in other letters, which json would take too
			said[name] = value
		}
	}
	return json.Marshal(said)
}

// registered are the claims that mean the same from every issuer (RFC 7519, 8705).
var registered = []string{"iss", "sub", "aud", "iat", "nbf", "exp", "jti", "cnf"}

// client is who the token's client is, if that is configured.
func (i *issuer) client(all map[string]json.RawMessage) (Client, bool) {
	for _, name := range []string{"client_id", "azp"} {
		if id, ok := claimText(all, name); ok && id != "" {
			client, known := i.Clients[id]
			return client, known
		}
	}
	return Client{}, false
}

// claim finds a claim by its name or, if no claim has that name, its path.
func claim(all map[string]json.RawMessage, name string) json.RawMessage {
	if value, ok := all[name]; ok {
		return value
	}
	first, rest, nested := strings.Cut(name, ".")
	if !nested {
		return nil
	}
	inner := map[string]json.RawMessage{}
	if json.Unmarshal(all[first], &inner) != nil {
		return nil
	}
	return claim(inner, rest)
}

// claimTexts reads a claim that is a text or a list of texts.
func claimTexts(all map[string]json.RawMessage, name string) (texts []string, ok bool) {
	raw := claim(all, name)
	if raw == nil || string(raw) == "null" {
		return nil, true
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, true
	}
	return texts, json.Unmarshal(raw, &texts) == nil
}

// claimText is a claim that is one text; "" if there is none.
func claimText(all map[string]json.RawMessage, name string) (text string, ok bool) {
	texts, ok := claimTexts(all, name)
	switch {
	case !ok || len(texts) > 1:
		return "", false
	case len(texts) == 0:
		return "", true
	}
	return texts[0], true
}

// claimRole is the one role of the hub in a claim, which may list an issuer's other
// roles besides. Where there is none, what stands there is left for readClaims to
// refuse.
func claimRole(all map[string]json.RawMessage, name string) (role string, ok bool) {
	texts, ok := claimTexts(all, name)
	if !ok {
		return "", false
	}
	for _, text := range texts {
		if _, known := ParseRole(text); !known {
			continue
		}
		if role != "" && role != text {
			return "", false
		}
		role = text
	}
	if role == "" && len(texts) > 0 {
		role = texts[0]
	}
	return role, true
}
