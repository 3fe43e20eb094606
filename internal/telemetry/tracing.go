package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"irthub/internal/rpc"
)

// Tracing makes spans of calls, batches and statements.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// StartTracing sends spans to the collector that OpenTelemetry's own variables
// name (OTEL_EXPORTER_OTLP_ENDPOINT; OTEL_TRACES_SAMPLER says how many). Without
// one it returns nil, and nothing is traced. The collector need not be up: what
// cannot be sent is dropped, and log is told.
func StartTracing(ctx context.Context, version string, log *slog.Logger) (*Tracing, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil //nolint:nilnil // no tracing is a valid setting
	}
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.WarnContext(ctx, "traces are not sent just now", "error", err)
	}))
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "irthub"), attribute.String("service.version", version)),
		resource.WithFromEnv(), resource.WithHost())
	if err != nil {
		return nil, fmt.Errorf("telemetry: describing this hub: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetTracerProvider(provider) // for the batchers, which are everybody's
	return &Tracing{provider: provider, tracer: provider.Tracer("irthub")}, nil
}

// Close sends what has not been sent.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Statements traces the statements of a pool: their text, never their parameters.
func (t *Tracing) Statements() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider))
}

// Unary makes a span of a unary call, within the caller's trace where it names one.
func (t *Tracing) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, span := t.begin(ctx, info.FullMethod)
	resp, err := handler(ctx, req)
	end(span, err)
	return resp, err
}

// Stream makes a span of a stream.
func (t *Tracing) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, span := t.begin(ss.Context(), info.FullMethod)
	err := handler(srv, rpc.WithContext(ss, ctx))
	end(span, err)
	return err
}

func (t *Tracing) begin(ctx context.Context, fullMethod string) (context.Context, trace.Span) {
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = propagation.TraceContext{}.Extract(ctx, carrier(md))
	}
	return t.tracer.Start(ctx, shortName(fullMethod), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("rpc.system", "grpc"), attribute.String("rpc.method", shortName(fullMethod))))
}

// end ends a call's span with its code. Messages stay out of it.
func end(span trace.Span, err error) {
	code := status.Code(err)
	span.SetAttributes(attribute.String("rpc.grpc.status_code", code.String()))
	if err != nil {
		span.SetStatus(codes.Error, code.String())
	}
	span.End()
}

// carrier reads the trace context out of metadata.
type carrier metadata.MD

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
