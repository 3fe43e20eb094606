// Package rpc is what every service of the hub has in common: how errors are
// told to callers, the interceptors that do not ask who is calling, page tokens
// and etags.
//
// Errors are made where their cause is known, with Error and its relatives, and
// mapped once at the edge, by Edge, which alone decides what is said of an error
// that nobody foresaw. A message to the caller is public and says what to do
// next; a cause is private and goes to the log.
//
// The order of the interceptors, outermost first, and why:
//
//	rpc.UnaryCall           names and logs the call, bounds its time, catches panics
//	identity.Authenticate   who is calling
//	audit.UnaryInterceptor  what follows is recorded before its answer leaves
//	identity.Authorise      may this role call this, for this purpose
//	rpc.Room                of streams: is there room for one more, and for what it sends
//	rpc.UnaryValidate       is the request well formed and within the standard
//
// so that a denied or malformed call of an identified caller is recorded, and a
// caller who may not call learns nothing from validation.
package rpc
