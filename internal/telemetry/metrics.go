// Package telemetry tells those who run a hub how it is doing: metrics for
// Prometheus, and traces for OpenTelemetry where a collector is named. Neither
// holds a person's data: methods, codes, counts and times, never names or values.
package telemetry

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"irthub/internal/batch"
)

// Metrics counts what a hub does.
type Metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	streams  *prometheus.GaugeVec
	methods  sync.Map // of *method, by full name
}

// method holds a method's metrics, so that a call looks none up by its labels.
type method struct {
	name    string
	answers prometheus.Counter
	seconds prometheus.Observer
	streams prometheus.Gauge
}

// New makes the metrics of a hub on the pool's database. apart are further pools of its
// connections, by what they are for; pipelines tells of the batchers. Both may be nil.
func New(version string, pool *pgxpool.Pool, apart map[string]*pgxpool.Pool, pipelines func() []batch.Stats) *Metrics {
	pools := map[string]*pgxpool.Pool{"calls": pool}
	maps.Copy(pools, apart)
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irthub_calls_total", Help: "Calls that ended, by method and gRPC code, over both doors.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "irthub_call_seconds", Help: "Time of unary calls in the hub, by method.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "irthub_streams", Help: "Streams under way, by method.",
		}, []string{"method"}),
	}
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irthub_build_info", Help: "1; the version is the label.", ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	m.registry.MustRegister(m.calls, m.seconds, m.streams, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newPoolCollector(pools), newBacklogCollector(pool), newPipelineCollector(pipelines))
	return m
}

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: scrapeTimeout, ErrorHandling: promhttp.ContinueOnError,
	})
}

// scrapeTimeout bounds one scrape.
const scrapeTimeout = 8 * time.Second

// Unary counts unary calls. It stands outermost.
func (m *Metrics) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	start := time.Now()
	resp, err := handler(ctx, req)
	of := m.method(info.FullMethod)
	of.seconds.Observe(time.Since(start).Seconds())
	m.count(of, err)
	return resp, err
}

// Stream counts streams. It stands outermost.
func (m *Metrics) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	of := m.method(info.FullMethod)
	of.streams.Inc()
	defer of.streams.Dec()
	err := handler(srv, ss)
	m.count(of, err)
	return err
}

func (m *Metrics) count(of *method, err error) {
	if err == nil {
		of.answers.Inc()
		return
	}
	m.calls.WithLabelValues(of.name, status.Code(err).String()).Inc()
}

// method finds a method's metrics. Interceptors run for methods of the schema
// only, so there are as many as that has.
func (m *Metrics) method(fullName string) *method {
	if of, ok := m.methods.Load(fullName); ok {
		return of.(*method)
	}
	name := shortName(fullName)
	of, _ := m.methods.LoadOrStore(fullName, &method{
		name: name, answers: m.calls.WithLabelValues(name, codes.OK.String()),
		seconds: m.seconds.WithLabelValues(name), streams: m.streams.WithLabelValues(name),
	})
	return of.(*method)
}

// shortName is "ChildService/GetChild" of "/irt.v1.ChildService/GetChild".
func shortName(fullName string) string {
	return strings.TrimPrefix(strings.TrimPrefix(fullName, "/"), "irt.v1.")
}
