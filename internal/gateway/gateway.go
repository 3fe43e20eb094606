// Package gateway is the hub's REST door: JSON over HTTP for every unary method
// of the schema, file upload, the OpenAPI document and a page to read it. It is
// a gRPC client like any other. It calls the hub through Conn, which runs the
// same interceptors as the gRPC port, and it neither decides nor knows anything
// that a gRPC caller could not do as well.
package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
)

// Options are what a gateway needs.
type Options struct {
	// Conn is the connection to the hub's services.
	Conn grpc.ClientConnInterface
	// Ready answers whether the hub can answer now: its database and its access
	// log. The error is logged and not shown.
	Ready func(context.Context) error
	// Log receives what callers are not shown.
	Log *slog.Logger
	// Patience is how long the other side of an upload, a download or a stream may
	// stand still; rpc.Patience if zero.
	Patience time.Duration
	// Version of the hub, shown in the OpenAPI document.
	Version string
}

// Gateway answers HTTP requests.
type Gateway struct {
	options Options
	routes  []reference.Route
	queries map[string]parameters // by full method name: what an address may carry
	imports irtv1.ImportServiceClient
	events  irtv1.EventServiceClient
	exports irtv1.ExportServiceClient
	api     *runtime.ServeMux
	pages   map[string]http.Handler // by path, for everything outside /v1
}

// New makes a gateway. The schema's services are registered with clients of
// o.Conn, never with their implementations: that would pass by the interceptors,
// and with them identity, policy and audit.
func New(o Options) (*Gateway, error) {
	o.Patience = cmp.Or(o.Patience, rpc.Patience)
	g := &Gateway{
		options: o, routes: reference.Routes(),
		imports: irtv1.NewImportServiceClient(o.Conn), events: irtv1.NewEventServiceClient(o.Conn),
		exports: irtv1.NewExportServiceClient(o.Conn),
	}
	g.queries = allowedQueries(g.routes)
	setQueryParser()
	g.api = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newCodec()),
		runtime.WithIncomingHeaderMatcher(matchIncoming),
		runtime.WithOutgoingHeaderMatcher(matchOutgoing),
		runtime.WithOutgoingTrailerMatcher(matchNone),
		runtime.WithErrorHandler(g.handleError),
		runtime.WithRoutingErrorHandler(g.handleRoutingError),
		runtime.WithForwardResponseOption(forwardEtag),
		runtime.WithForwardResponseOption(nameFields),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptSlash),
	)
	for _, register := range []func(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error{
		client(irtv1.RegisterAgencyServiceHandlerClient, irtv1.NewAgencyServiceClient),
		client(irtv1.RegisterAuditServiceHandlerClient, irtv1.NewAuditServiceClient),
		client(irtv1.RegisterChildServiceHandlerClient, irtv1.NewChildServiceClient),
		client(irtv1.RegisterConcernServiceHandlerClient, irtv1.NewConcernServiceClient),
		client(irtv1.RegisterConsentServiceHandlerClient, irtv1.NewConsentServiceClient),
		client(irtv1.RegisterReferralServiceHandlerClient, irtv1.NewReferralServiceClient),
		client(irtv1.RegisterContactServiceHandlerClient, irtv1.NewContactServiceClient),
		client(irtv1.RegisterEmergencyAccessServiceHandlerClient, irtv1.NewEmergencyAccessServiceClient),
		client(irtv1.RegisterEventServiceHandlerClient, irtv1.NewEventServiceClient),
		client(irtv1.RegisterExportServiceHandlerClient, irtv1.NewExportServiceClient),
		client(irtv1.RegisterImportServiceHandlerClient, irtv1.NewImportServiceClient),
		client(irtv1.RegisterInvolvementServiceHandlerClient, irtv1.NewInvolvementServiceClient),
		client(irtv1.RegisterLeadNominationServiceHandlerClient, irtv1.NewLeadNominationServiceClient),
		client(irtv1.RegisterLimitServiceHandlerClient, irtv1.NewLimitServiceClient),
		client(irtv1.RegisterMatchServiceHandlerClient, irtv1.NewMatchServiceClient),
		client(irtv1.RegisterPlanServiceHandlerClient, irtv1.NewPlanServiceClient),
		client(irtv1.RegisterQualityServiceHandlerClient, irtv1.NewQualityServiceClient),
		client(irtv1.RegisterRevocationServiceHandlerClient, irtv1.NewRevocationServiceClient),
		client(irtv1.RegisterRetentionServiceHandlerClient, irtv1.NewRetentionServiceClient),
		client(irtv1.RegisterShieldServiceHandlerClient, irtv1.NewShieldServiceClient),
		client(irtv1.RegisterStandardServiceHandlerClient, irtv1.NewStandardServiceClient),
		client(irtv1.RegisterSubscriptionServiceHandlerClient, irtv1.NewSubscriptionServiceClient),
		client(irtv1.RegisterTimelineServiceHandlerClient, irtv1.NewTimelineServiceClient),
	} {
		if err := register(context.Background(), g.api, checkedConn{o.Conn, g.queries}); err != nil {
			return nil, fmt.Errorf("gateway: registering a service: %w", err)
		}
	}
	if err := g.handleStreams(); err != nil {
		return nil, err
	}
	g.pages = g.makePages()
	return g, nil
}

// handleStreams registers what is read or written as it comes. These handlers come
// before those that the library has for the same addresses.
func (g *Gateway) handleStreams() error {
	for _, h := range []struct {
		verb, pattern string
		handle        runtime.HandlerFunc
	}{
		{http.MethodPost, reference.UploadPattern, g.upload},
		{http.MethodGet, reference.WatchPattern, g.watch},
		{http.MethodPost, "/v1/childRecords:submit", g.submitRecords},
		{http.MethodPost, "/v1/involvements:submit", g.submitInvolvements},
		{http.MethodPost, "/v1/concerns:submit", g.submitConcerns},
		{http.MethodPost, "/v1/referrals:submit", g.submitReferrals},
		{http.MethodPost, "/v1/plans:submit", g.submitPlans},
		{http.MethodPost, "/v1/consents:submit", g.submitConsents},
		{http.MethodPost, "/v1/services:submit", g.submitServices},
		{http.MethodGet, "/v1/{parent=agencies/*}/childRecords:export", g.exportChildRecords},
		{http.MethodGet, "/v1/{parent=agencies/*}/involvements:export", g.exportInvolvements},
		{http.MethodGet, "/v1/{parent=agencies/*}/concerns:export", g.exportConcerns},
		{http.MethodGet, "/v1/{parent=agencies/*}/referrals:export", g.exportReferrals},
		{http.MethodGet, "/v1/{parent=agencies/*}/plans:export", g.exportPlans},
		{http.MethodGet, "/v1/{parent=agencies/*}/consents:export", g.exportConsents},
		{http.MethodGet, "/v1/{parent=agencies/*}/services:export", g.exportServices},
		{http.MethodGet, "/v1/{parent=children/*}/accesses:export", g.exportAccesses},
		{http.MethodGet, "/v1/qualityFindings:export", g.exportFindings},
		{http.MethodGet, "/v1/{parent=agencies/*/imports/*}/rejects:download", g.downloadRejects},
		{http.MethodGet, "/v1/{name=importTemplates/*}", g.template},
	} {
		if err := g.api.HandlePath(h.verb, h.pattern, h.handle); err != nil {
			return fmt.Errorf("gateway: registering %s: %w", h.pattern, err)
		}
	}
	return nil
}

// setQueryParser happens once, since the library keeps the parser for the whole
// process.
var setQueryParser = sync.OnceFunc(func() {
	runtime.NewServeMux(runtime.SetQueryParameterParser(queryParser{}))
})

// client pairs a generated registration with the generated client it needs.
func client[C any](
	register func(context.Context, *runtime.ServeMux, C) error, newClient func(grpc.ClientConnInterface) C,
) func(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error {
	return func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
		return register(ctx, mux, newClient(conn))
	}
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer g.recoverPanic(w, r)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.TLS != nil {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	}
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		g.serveAPI(w, r)
		return
	}
	page, ok := g.pages[r.URL.Path]
	switch {
	case !ok:
		g.handleRoutingError(r.Context(), nil, nil, w, r, http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		g.writeError(w, r, errMethodNotAllowed())
	default:
		page.ServeHTTP(w, r)
	}
}

// recoverPanic turns a panic of the gateway's own code into INTERNAL. Those of
// the services are caught by their interceptors.
func (g *Gateway) recoverPanic(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler { //nolint:errorlint,err113 // a sentinel that is panicked with, never wrapped
		panic(cause) //nolint:forbidigo // net/http's way to break a connection off
	}
	g.writeError(w, r, fmt.Errorf("panic in the gateway with a %T", cause))
}
