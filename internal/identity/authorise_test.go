package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

var getChildInfo = &grpc.UnaryServerInfo{FullMethod: "/irt.v1.ChildService/GetChild"}

const (
	system     = irtv1.Role_ROLE_AGENCY_SYSTEM
	person     = irtv1.Role_ROLE_PRACTITIONER
	manager    = irtv1.Role_ROLE_DATA_MANAGER
	auditor    = irtv1.Role_ROLE_AUDITOR
	mediator   = irtv1.Role_ROLE_MEDIATOR
	operator   = irtv1.Role_ROLE_HUB_OPERATOR
	purpose    = "irt-purpose"
	reasonKey  = "irt-reason"
	onBehalfOf = "irt-on-behalf-of"
)

func TestWhatCallersMustState(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		role   irtv1.Role
		md     []string
		reason string // "" is accepted
		field  string
		says   string
	}{
		"a purpose":                      {system, []string{purpose, "EDUCATION"}, "", "", ""},
		"no purpose":                     {system, []string{"x", "y"}, "PURPOSE_REQUIRED", purpose, "SUBJECT_ACCESS"},
		"an empty purpose":               {system, []string{purpose, " "}, "PURPOSE_REQUIRED", purpose, "DIRECT_CARE"},
		"an unknown purpose":             {system, []string{purpose, "CURIOSITY"}, "PURPOSE_UNKNOWN", purpose, "SAFEGUARDING"},
		"a purpose with its prefix":      {system, []string{purpose, "PURPOSE_AUDIT"}, "PURPOSE_UNKNOWN", purpose, "AUDIT"},
		"the purpose of none":            {system, []string{purpose, "UNSPECIFIED"}, "PURPOSE_UNKNOWN", purpose, "AUDIT"},
		"two purposes":                   {system, []string{purpose, "AUDIT", purpose, "EDUCATION"}, "PURPOSE_UNKNOWN", purpose, "AUDIT"},
		"an emergency without a reason":  {system, []string{purpose, "EMERGENCY"}, "VALIDATION_FAILED", reasonKey, "emergency"},
		"an emergency with one":          {system, []string{purpose, "EMERGENCY", reasonKey, "Missing since noon"}, "", "", ""},
		"a reason of 200":                {system, []string{purpose, "AUDIT", reasonKey, strings.Repeat("r", 200)}, "", "", ""},
		"a reason of 201":                {system, []string{purpose, "AUDIT", reasonKey, strings.Repeat("r", 201)}, "VALIDATION_FAILED", reasonKey, "200"},
		"two reasons":                    {system, []string{purpose, "AUDIT", reasonKey, "a", reasonKey, "b"}, "VALIDATION_FAILED", reasonKey, ""},
		"a mediator for nobody":          {mediator, []string{purpose, "AUDIT"}, "VALIDATION_FAILED", onBehalfOf, "mediator"},
		"a mediator for a form":          {mediator, []string{purpose, "AUDIT", onBehalfOf, "Mrs Smith"}, "VALIDATION_FAILED", onBehalfOf, "agencies/"},
		"a mediator for no one known":    {mediator, []string{purpose, "AUDIT", onBehalfOf, "agencies/other/practitioners/nobody"}, "VALIDATION_FAILED", onBehalfOf, "directory"},
		"a mediator for anybody":         {mediator, []string{purpose, "AUDIT", onBehalfOf, "agencies/other/practitioners/p"}, "", "", ""},
		"a system for its own":           {system, []string{purpose, "AUDIT", onBehalfOf, "agencies/st-marys/practitioners/p"}, "", "", ""},
		"a system for another agency's":  {system, []string{purpose, "AUDIT", onBehalfOf, "agencies/other/practitioners/p"}, "VALIDATION_FAILED", onBehalfOf, "mediator"},
		"a practitioner for herself":     {person, []string{purpose, "AUDIT", onBehalfOf, "agencies/st-marys/practitioners/me"}, "", "", ""},
		"a practitioner for a colleague": {person, []string{purpose, "AUDIT", onBehalfOf, "agencies/st-marys/practitioners/p"}, "VALIDATION_FAILED", onBehalfOf, "nobody else"},
		"a manager for another agency's": {manager, []string{purpose, "AUDIT", onBehalfOf, "agencies/other/practitioners/p"}, "VALIDATION_FAILED", onBehalfOf, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := b.getChild(t.Context(), b.token(t, "st-marys", "me", c.role), c.md...)
			if c.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, codes.InvalidArgument, c.reason)
			field, rule, says := violation(err)
			if field != c.field || rule == "" || !strings.Contains(says, c.says) {
				t.Errorf("the violation is at %q by %q and says %q; want %q and %q", field, rule, says, c.field, c.says)
			}
		})
	}
}

// Over REST a header may hold bytes that a gRPC client would not send.
func TestReasonsInOtherAlphabets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for reason, want := range map[string]codes.Code{
		"Siân wedi diflannu": codes.OK, strings.Repeat("ŵ", 200): codes.OK,
		"a\tb": codes.InvalidArgument, "caf\xe9": codes.InvalidArgument, "a\u0085b": codes.InvalidArgument,
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(
			"authorization", "Bearer "+b.token(t, "st-marys", "", system), purpose, "AUDIT", reasonKey, reason))
		_, err := b.auth.Unary(ctx, nil, getChildInfo, func(ctx context.Context, _ any) (any, error) {
			return identity.AuthoriseUnary(ctx, nil, getChildInfo, func(ctx context.Context, _ any) (any, error) {
				if got := identity.FromContext(ctx).Reason; got != reason {
					t.Errorf("%q becomes %q", reason, got)
				}
				return nil, nil
			})
		})
		if status.Code(err) != want {
			t.Errorf("%q: %v, want %v", reason, err, want)
		}
	}
}

// FuzzStatement states anything: what a handler then sees can be recorded and shown.
func FuzzStatement(f *testing.F) {
	b := setup(f)
	token := b.token(f, "st-marys", "me", system)
	f.Add("AUDIT", "why", "agencies/st-marys/practitioners/p")
	f.Add("EMERGENCY", "", "agencies/other/practitioners/p")
	f.Add("x", strings.Repeat("é", 201), "\x00")
	f.Fuzz(func(t *testing.T, stated, reason, other string) {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(
			"authorization", "Bearer "+token, purpose, stated, reasonKey, reason, onBehalfOf, other))
		_, err := b.auth.Unary(ctx, nil, getChildInfo, func(ctx context.Context, _ any) (any, error) {
			c := identity.FromContext(ctx)
			if !utf8.ValidString(c.Reason) || strings.ContainsRune(c.Reason, 0) || len(c.Reason) > 4*200 {
				t.Errorf("the reason %q is kept", c.Reason)
			}
			if c.OnBehalfOf != "" && !strings.HasPrefix(c.OnBehalfOf, "agencies/st-marys/practitioners/") {
				t.Errorf("it acts for %q", c.OnBehalfOf)
			}
			return identity.AuthoriseUnary(ctx, nil, getChildInfo, func(context.Context, any) (any, error) { return nil, nil })
		})
		if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument {
			t.Error(err)
		}
	})
}

func TestRoles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for role, may := range map[irtv1.Role]bool{system: true, person: true, manager: true, mediator: true, auditor: false, operator: false} {
		err := b.getChild(t.Context(), b.token(t, "st-marys", "me", role), purpose, "AUDIT", onBehalfOf, "agencies/st-marys/practitioners/me")
		if may && err != nil {
			t.Errorf("%v: %v", role, err)
		}
		if !may {
			wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
		}
	}
}

// Who may not call learns nothing from validation (AIP-211), not even what it
// forgot to state.
func TestRolesComeBeforeStatementsAndValidation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wantError(t, b.getChild(t.Context(), b.token(t, "st-marys", "", auditor), purpose, "CURIOSITY"), codes.PermissionDenied, "ACCESS_DENIED")
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+b.token(t, "st-marys", "", auditor), purpose, "AUDIT")
	_, err := b.children.GetChild(ctx, &irtv1.GetChildRequest{})
	wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
}

func TestWritesNeedNoPurpose(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+b.token(t, "st-marys", "", system))
	if _, err := b.children.SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{}); err != nil {
		t.Error(err)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, purpose, "CURIOSITY") // but one that is stated must be one
	_, err := b.children.SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{})
	wantError(t, err, codes.InvalidArgument, "PURPOSE_UNKNOWN")
}

func TestPublicMethodsNeedNoToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer forged")
	if _, err := irtv1.NewStandardServiceClient(b.conn).GetStandard(ctx, &irtv1.GetStandardRequest{}); err != nil {
		t.Fatal(err)
	}
	if c := <-b.called; c.Identified() {
		t.Errorf("a public method sees a caller: %+v", c)
	}
}

func TestUnknownMethodsAreNotAQuestionOfTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	err := b.conn.Invoke(t.Context(), "/irt.v1.ChildService/DropEverything", &irtv1.GetChildRequest{}, &irtv1.Child{})
	wantError(t, err, codes.Unimplemented, "NO_SUCH_METHOD")
}

// An agency that leaves is refused from the next call on, whatever its tokens say
// and however well they are cached.
func TestAnInactiveAgencyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := b.token(t, "st-marys", "", system)
	if err := b.getChild(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	b.directory.deactivate("st-marys")
	wantError(t, b.getChild(t.Context(), raw), codes.PermissionDenied, "ACCESS_DENIED")
}

func TestFaultLostDirectoryIsNotAPermission(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.directory.err = errors.New("lost")
	wantError(t, b.getChild(t.Context(), b.token(t, "st-marys", "", system)), codes.Internal, "INTERNAL")
}

func TestAStreamEndsWithItsCallersRight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    func(*testBundle)
		code   codes.Code
		reason string
	}{
		"the agency leaves": {func(b *testBundle) { b.directory.deactivate("st-marys") }, codes.PermissionDenied, "ACCESS_DENIED"},
		"the token expires": {func(b *testBundle) { b.clock.pass(2 * identity.MaxLifetime) }, codes.Unauthenticated, "TOKEN_EXPIRED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+b.token(t, "st-marys", "", system))
			stream, err := b.children.SubmitChildRecords(ctx)
			if err != nil {
				t.Fatal(err)
			}
			send := func() error {
				if err := stream.Send(&irtv1.SubmitChildRecordsRequest{}); err != nil {
					t.Fatal(err)
				}
				_, err := stream.Recv()
				return err
			}
			if err := send(); err != nil {
				t.Fatal(err)
			}
			c.end(b)
			wantError(t, send(), c.code, c.reason)
		})
	}
}

// Every method of the schema says who may call it, and each that is not public
// names roles.
func TestEveryMethodSaysWhoMayCallIt(t *testing.T) {
	t.Parallel()
	methods := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("irt.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				methods++
				name := "/" + string(s.FullName()) + "/" + string(s.Methods().Get(j).Name())
				access, known := identity.Access(name)
				if !known || access.GetPublic() == (len(access.GetRoles()) > 0) {
					t.Errorf("%s: public %v, roles %v", name, access.GetPublic(), access.GetRoles())
				}
			}
		}
		return true
	})
	if methods < 20 {
		t.Errorf("only %d methods were looked at", methods)
	}
}

func TestAMethodThatDoesNotSayIsNobodys(t *testing.T) {
	t.Parallel()
	health := healthpb.File_grpc_health_v1_health_proto.Services().Get(0).Methods().Get(0)
	if a := identity.MethodAccess(health); a.GetPublic() || len(a.GetRoles()) > 0 {
		t.Errorf("a method without the option may be called: %v", a)
	}
	for method, want := range map[string]bool{
		"/grpc.health.v1.Health/Check":                              true,
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": true,
		"/grpc.health.v1.HealthX/Check":                             false,
		"/grpc.channelz.v1.Channelz/GetServers":                     false,
		"/irt.v1.ChildService/":                                     false,
		"":                                                          false,
	} {
		if a, known := identity.Access(method); known != want || a.GetPublic() != want {
			t.Errorf("%q: known %v, public %v; want %v", method, known, a.GetPublic(), want)
		}
	}
}

func TestTextsOfRolesAndPurposes(t *testing.T) {
	t.Parallel()
	if got := strings.Join(identity.RoleTexts(), " "); got != "agency-system practitioner data-manager auditor mediator hub-operator" {
		t.Errorf("roles: %s", got)
	}
	for _, text := range identity.RoleTexts() {
		if r, ok := identity.ParseRole(text); !ok || identity.RoleText(r) != text {
			t.Errorf("%s is read as %v", text, r)
		}
	}
	if got := strings.Join(identity.PurposeTexts(), " "); got != "DIRECT_CARE SAFEGUARDING EARLY_HELP EDUCATION DATA_QUALITY AUDIT SUBJECT_ACCESS EMERGENCY UNSCHEDULED_CARE" {
		t.Errorf("purposes: %s", got)
	}
	if _, ok := identity.ParseRole(""); ok {
		t.Error("no role is a role")
	}
}
