package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

// AuthoriseUnary refuses a caller who is shut out, whose role may not call the
// method, or who does not state the purpose the method needs. It runs
// after the audit interceptor, so that refusals are recorded.
func AuthoriseUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := authorise(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// AuthoriseStream is AuthoriseUnary for streams.
func AuthoriseStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := authorise(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, ss)
}

func authorise(ctx context.Context, method string) error {
	access, exists := Access(method)
	if !exists {
		return rpc.NoSuchMethod()
	}
	if access.GetPublic() {
		return nil
	}
	k, ok := ctx.Value(callerKey{}).(*known)
	switch {
	case !ok || !k.caller.Identified():
		return errNoToken()
	case k.refused != nil:
		return k.refused
	case !slices.Contains(access.GetRoles(), k.caller.Role):
		return errRole(k.caller.Role, access.GetRoles())
	case k.statement != nil:
		return k.statement
	case access.GetPurposeRequired() && k.caller.Purpose == irtv1.Purpose_PURPOSE_UNSPECIFIED:
		return errPurposeRequired()
	}
	return nil
}

func errInactive() error {
	return rpc.DeniedBecause("Your agency is not registered with this hub, or no longer active. Ask the operator of the hub.")
}

func errLeft() error {
	return rpc.DeniedBecause("The practitioner who calls, or for whom you call, may no longer use this hub. Ask your agency to see to the directory.")
}

func errRevoked() error {
	return rpc.Error(codes.Unauthenticated, irtv1.ErrorReason_ERROR_REASON_TOKEN_REVOKED,
		"The token or certificate has been revoked. Ask the data manager of the hub, and get a new one.")
}

func errRole(role irtv1.Role, may []irtv1.Role) error {
	texts := make([]string, len(may))
	for i, r := range may {
		texts[i] = RoleText(r)
	}
	who := "nobody may"
	if len(texts) > 0 {
		who = "these may: " + strings.Join(texts, ", ")
	}
	return rpc.Error(codes.PermissionDenied, irtv1.ErrorReason_ERROR_REASON_ACCESS_DENIED,
		fmt.Sprintf("The role %s may not call this method; %s.", RoleText(role), who))
}
