package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/server"
)

type tokenCommand struct {
	Issue  tokenIssueCommand  `cmd:"" default:"withargs" help:"Print a token to call the hub with."`
	Revoke tokenRevokeCommand `cmd:"" help:"Have a token or client certificate refused before its time is over."`
}

// Help is shown by irthub token --help: what it does by default.
func (tokenCommand) Help() string { return tokenIssueCommand{}.Help() }

type tokenIssueCommand struct {
	dataFlag

	Agency       string        `required:"" placeholder:"ID" help:"The agency that will call: 1 to 63 letters, digits and the signs - . _"`
	Practitioner string        `placeholder:"ID" help:"The practitioner of the agency who will call; the role practitioner needs one."`
	Role         string        `required:"" placeholder:"ROLE" help:"agency-system, practitioner, data-manager, auditor, mediator or hub-operator."`
	TTL          time.Duration `name:"ttl" default:"1h" help:"How long the token is good for, at most 24h (default: 1h)."`
	Kind         string        `placeholder:"KIND" help:"What the agency is, if it is to be registered: school, gp-practice, social-care, police …; guessed from its id otherwise."`

	BindCert string `placeholder:"FILE" type:"existingfile" help:"A client certificate, PEM, with which alone the token is to be good (RFC 8705)."`
}

// Help is shown by irthub token --help.
func (tokenIssueCommand) Help() string {
	return `Prints a token signed by the key of the hub in DIR, and nothing else, on standard output. Whoever can read DIR can act as anybody: it is for the first steps, for tests and for hubs without an OpenID Connect issuer.

An agency that the hub does not know is registered, with a notice, if the hub has a private database. With IRTHUB_DATABASE_URL it is refused: agencies are registered by the hub's operator there. The first operator is registered by asking for its token, while there is none.

It works while the hub runs and while it does not.

Examples:

  export IRTHUB_TOKEN=$(irthub token --agency school-1 --role agency-system)
  irthub token --agency gp-D82001 --practitioner dr-jones --role practitioner --ttl 8h
  irthub token --agency hub --role hub-operator > operator.token
  irthub token --agency school-1 --role agency-system --bind-cert school-1.pem`
}

// Run prints a token.
func (c *tokenIssueCommand) Run(ctx context.Context, s streams) error {
	token, err := c.issue()
	if err != nil {
		return err
	}
	if err := c.seeToAgency(ctx, s); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, token)
	return err
}

// issue makes the token. It comes first, so that wrong claims register nothing.
func (c *tokenIssueCommand) issue() (string, error) {
	role, ok := identity.ParseRole(c.Role)
	if !ok {
		return "", usage(fmt.Errorf("--role %q: it is one of %s", c.Role, strings.Join(identity.RoleTexts(), ", ")))
	}
	if c.TTL <= 0 || c.TTL > identity.MaxLifetime {
		return "", usage(errors.New("--ttl: give a time such as 1h, at most 24h"))
	}
	if _, err := c.kind(); err != nil {
		return "", err
	}
	claims := identity.Claims{Agency: c.Agency, Practitioner: c.Practitioner, Role: role, TTL: c.TTL}
	if c.BindCert != "" {
		cert, err := readCertificate(c.BindCert)
		if err != nil {
			return "", usage(fmt.Errorf("--bind-cert: %w", err))
		}
		claims.BoundTo = identity.Thumbprint(cert)
	}
	key, err := identity.LoadOrCreateKey(c.Data)
	if err != nil {
		return "", err
	}
	token, err := key.Issue(claims)
	return token, usage(err)
}

// seeToAgency registers the agency in a private database where it is missing.
func (c *tokenIssueCommand) seeToAgency(ctx context.Context, s streams) (err error) {
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := server.OpenDatabase(ctx, c.Data, os.Getenv(databaseURLVariable), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	directory, err := agencies.NewDirectory(ctx, db.Pool, log)
	if err != nil {
		return err
	}
	defer directory.Close()
	known, found := directory.Get(c.Agency)
	switch {
	case found && !known.Active:
		return fmt.Errorf("the agency %s is not active: the hub would refuse its token", c.Agency)
	case found:
		return nil
	case !db.Private() && c.Role == identity.RoleText(irtv1.Role_ROLE_HUB_OPERATOR) && !directory.Has(operator):
		c.Kind = "hub-operator"
	case !db.Private():
		return fmt.Errorf("the hub knows no agency %s, and its database is not this command's to write to: "+
			"have the hub's operator register it (AgencyService.CreateAgency)", c.Agency)
	}
	return c.register(ctx, s, db)
}

// operator registers the other agencies of a hub.
const operator = irtv1.AgencyKind_AGENCY_KIND_HUB_OPERATOR

func (c *tokenIssueCommand) register(ctx context.Context, s streams, db *server.Database) error {
	kind, err := c.kind()
	if err != nil {
		return err
	}
	agency := &irtv1.Agency{
		Name: agencies.Name(c.Agency), DisplayName: c.Agency, Kind: kind, State: irtv1.AgencyState_AGENCY_STATE_ACTIVE,
	}
	if _, _, _, err := agencies.UpsertAgencies(ctx, db.Pool, []*irtv1.Agency{agency}); err != nil {
		return fmt.Errorf("registering the agency: %w", err)
	}
	how := ""
	if c.Kind == "" {
		how = ", by its id: --kind says otherwise"
	}
	s.say("irthub: the agency %s was not known: registered as %s%s", c.Agency, kindText(kind), how)
	return nil
}

// kind is what the agency is: as told, or guessed from its id.
func (c *tokenIssueCommand) kind() (irtv1.AgencyKind, error) {
	if c.Kind == "" {
		return guessKind(c.Agency), nil
	}
	name := "AGENCY_KIND_" + strings.ToUpper(strings.ReplaceAll(c.Kind, "-", "_"))
	kind := irtv1.AgencyKind(irtv1.AgencyKind_value[name])
	if kind == irtv1.AgencyKind_AGENCY_KIND_UNSPECIFIED {
		return 0, usage(fmt.Errorf("--kind %q: it is one of %s", c.Kind, strings.Join(kindTexts(), ", ")))
	}
	return kind, nil
}

func kindText(k irtv1.AgencyKind) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(k.String(), "AGENCY_KIND_")), "_", "-")
}

func kindTexts() []string {
	var all []string
	for n := range len(irtv1.AgencyKind_name) - 1 {
		all = append(all, kindText(irtv1.AgencyKind(n+1)))
	}
	return all
}

// kindsByPrefix guesses what an agency is from how its id begins, the first that
// fits. It saves people a flag in their first five minutes, no more.
var kindsByPrefix = []struct {
	prefixes string
	kind     irtv1.AgencyKind
}{
	{"school academy pru sixth", irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
	{"gp surgery practice", irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE},
	{"health nhs hospital trust camhs midwif", irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST},
	{"social csc cs-", irtv1.AgencyKind_AGENCY_KIND_SOCIAL_CARE},
	{"yot yjs youth-justice youth-offending", irtv1.AgencyKind_AGENCY_KIND_YOUTH_OFFENDING_TEAM},
	{"dat drug", irtv1.AgencyKind_AGENCY_KIND_DRUG_ACTION_TEAM},
	{"youth connexions", irtv1.AgencyKind_AGENCY_KIND_YOUTH_SERVICE},
	{"police", irtv1.AgencyKind_AGENCY_KIND_POLICE},
	{"nursery early childminder family-hub", irtv1.AgencyKind_AGENCY_KIND_EARLY_YEARS},
	{"la- council housing", irtv1.AgencyKind_AGENCY_KIND_LOCAL_AUTHORITY},
	{"hub irthub", irtv1.AgencyKind_AGENCY_KIND_HUB_OPERATOR},
}

func guessKind(agency string) irtv1.AgencyKind {
	id := strings.ToLower(agency)
	for _, k := range kindsByPrefix {
		for prefix := range strings.FieldsSeq(k.prefixes) {
			if strings.HasPrefix(id, prefix) {
				return k.kind
			}
		}
	}
	return irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY
}
