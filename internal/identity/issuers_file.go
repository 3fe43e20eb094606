package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// issuersFile is what ReadIssuers reads.
type issuersFile struct {
	Issuers []struct {
		URL              string            `json:"url"`
		Audiences        []string          `json:"audiences"`
		Agencies         []string          `json:"agencies"`
		Roles            []string          `json:"roles"`
		Claims           ClaimNames        `json:"claims"`
		Clients          map[string]Client `json:"clients"`
		AccessTokensOnly bool              `json:"accessTokensOnly"`
	} `json:"issuers"`
}

// ReadIssuers reads a file of issuers, as docs/IDENTITY.md describes it. What it does
// not know in the file is an error: a misspelt restriction must not be none.
func ReadIssuers(file []byte) ([]Issuer, error) {
	var f issuersFile
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("identity: reading the issuers: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("identity: reading the issuers: there is more than one value in the file")
	}
	var all []Issuer
	for _, given := range f.Issuers {
		i := Issuer{
			URL: given.URL, Audiences: given.Audiences, Agencies: given.Agencies,
			Claims: given.Claims, Clients: given.Clients, AccessTokensOnly: given.AccessTokensOnly,
		}
		for _, text := range given.Roles {
			role, ok := ParseRole(text)
			if !ok {
				return nil, fmt.Errorf("identity: the issuer %q: the role %q is not one of %s", i.URL, text, strings.Join(RoleTexts(), ", "))
			}
			i.Roles = append(i.Roles, role)
		}
		if err := i.check(); err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	if len(all) == 0 {
		return nil, errors.New("identity: reading the issuers: the file names none")
	}
	return all, nil
}

// IssuerOf reads an issuer as the command line has it: its URL or, where it may speak
// for some agencies only, URL=PATTERN,PATTERN. One that may speak for all may give
// every role.
func IssuerOf(text string) Issuer {
	u, patterns, restricted := strings.Cut(text, "=")
	if restricted {
		return Issuer{URL: u, Agencies: strings.Split(patterns, ",")}
	}
	i := Issuer{URL: u, Agencies: []string{AnyAgency}}
	for role := range roleTexts {
		i.Roles = append(i.Roles, role)
	}
	return i
}
