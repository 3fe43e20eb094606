package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"irthub/internal/batch"
)

// pipelineCollector tells of the batchers: the write pipelines, the read
// coalescers and the access log's writer; and of the sweeps.
type pipelineCollector struct {
	stats                              func() []batch.Stats
	waiting, inputs, batches, failures *prometheus.Desc
	seconds                            *prometheus.Desc
}

func newPipelineCollector(stats func() []batch.Stats) *pipelineCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("irthub_pipeline_"+name, help, []string{"pipeline"}, nil)
	}
	return &pipelineCollector{
		stats:    stats,
		waiting:  desc("waiting", "Inputs that wait for a batch."),
		inputs:   desc("inputs_total", "Inputs taken into batches."),
		batches:  desc("batches_total", "Batches run; inputs by batches is their mean size."),
		failures: desc("failures_total", "Batches that failed as a whole."),
		seconds:  desc("seconds_total", "Time spent in batches; by batches it is their mean time."),
	}
}

// Describe implements prometheus.Collector.
func (c *pipelineCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c *pipelineCollector) Collect(to chan<- prometheus.Metric) {
	if c.stats == nil {
		return
	}
	for _, s := range c.stats() {
		counter := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, s.Name)
		}
		to <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(s.Waiting), s.Name)
		counter(c.inputs, float64(s.Inputs))
		counter(c.batches, float64(s.Batches))
		counter(c.failures, float64(s.Failures))
		counter(c.seconds, s.Time.Seconds())
	}
}

// poolCollector tells of the pools of database connections, by what they are for.
type poolCollector struct {
	pools              map[string]*pgxpool.Pool
	connections, waits *prometheus.Desc
	waited             *prometheus.Desc
}

func newPoolCollector(pools map[string]*pgxpool.Pool) *poolCollector {
	return &poolCollector{
		pools: pools,
		connections: prometheus.NewDesc("irthub_db_connections",
			"Connections of a pool, by state (idle, used, most).", []string{"pool", "state"}, nil),
		waits:  prometheus.NewDesc("irthub_db_waits_total", "Times that somebody had to wait for a connection.", []string{"pool"}, nil),
		waited: prometheus.NewDesc("irthub_db_acquire_seconds_total", "Time spent getting a connection.", []string{"pool"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *poolCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c *poolCollector) Collect(to chan<- prometheus.Metric) {
	for name, pool := range c.pools {
		s := pool.Stat()
		for state, n := range map[string]int32{"idle": s.IdleConns(), "used": s.AcquiredConns(), "most": s.MaxConns()} {
			to <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(n), name, state)
		}
		to <- prometheus.MustNewConstMetric(c.waits, prometheus.CounterValue, float64(s.EmptyAcquireCount()), name)
		to <- prometheus.MustNewConstMetric(c.waited, prometheus.CounterValue, s.AcquireDuration().Seconds(), name)
	}
}

// backlogCollector tells what waits in the database: entries of the access log
// without a place in its tree, events not yet put in order or sent, pairs that
// people must decide. It is the same for all hubs on one database.
type backlogCollector struct {
	pool  *pgxpool.Pool
	descs []*prometheus.Desc

	mu     sync.Mutex
	asked  time.Time
	values []float64 // nil where the database could not be asked
}

const (
	// backlogEvery bounds how often the database is asked, however often it is scraped.
	backlogEvery   = 5 * time.Second
	backlogTimeout = 3 * time.Second
)

// backlogs are the gauges, each with the query that gives its value. Counts stop
// at 100,000, which is trouble enough.
var backlogs = []struct{ name, help, sql string }{
	{
		"irthub_access_log_waiting", "Entries of the access log without a leaf yet, up to 100,000; far above a second's calls the sequencer is not running.",
		`SELECT count(*) FROM (SELECT 1 FROM audit_queue LIMIT 100000) q`,
	},
	{
		"irthub_access_log_size", "Leaves of the access log's tree.",
		`SELECT coalesce(max(tree_size), 0) FROM audit_checkpoints`,
	},
	{
		"irthub_access_log_checkpoint_age_seconds", "Age of the newest signed checkpoint; it grows while there is nothing new.",
		`SELECT coalesce(extract(epoch FROM clock_timestamp() - (
			SELECT sign_time FROM audit_checkpoints ORDER BY tree_size DESC LIMIT 1)), 0)`,
	},
	{
		"irthub_events_waiting", "Events without a place in the order of events yet, up to 100,000.",
		`SELECT count(*) FROM (SELECT 1 FROM event_outbox LIMIT 100000) q`,
	},
	{
		"irthub_webhooks_behind", "Events that have not been looked at for webhooks yet.",
		`SELECT (SELECT position FROM event_head) - (SELECT position FROM webhook_head)`,
	},
	{
		"irthub_webhooks_waiting", "Messages of webhooks that wait to be sent or to be tried again, up to 100,000.",
		`SELECT count(*) FROM (SELECT 1 FROM river_job
			WHERE queue = 'webhooks' AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled') LIMIT 100000) q`,
	},
	{
		"irthub_webhooks_dead_letters", "Events of the last 30 days that could not be sent, up to 100,000.",
		`SELECT count(*) FROM (SELECT 1 FROM webhook_dead_letters LIMIT 100000) q`,
	},
	{
		"irthub_webhooks_failed", "Subscriptions that the hub disabled because nothing could be sent.",
		`SELECT count(*) FROM webhook_subscriptions WHERE state = 3`,
	},
	{
		"irthub_match_reviews_waiting", "Pairs that people must decide, up to 100,000.",
		`SELECT count(*) FROM (SELECT 1 FROM match_reviews WHERE state <> 5 LIMIT 100000) q`,
	},
	{
		"irthub_match_models", "Models of matching by which hubs on the database go now; of one that was killed, for 150 seconds more.",
		`SELECT greatest(count(*), 1) FROM match_models WHERE use_time > now() - interval '150 seconds'`,
	},
	{
		"irthub_retention_age_seconds", "Time since a day's run of the retention rules ended; until one has, since the database was made.",
		`SELECT extract(epoch FROM clock_timestamp() - coalesce((SELECT max(end_time) FROM retention_runs),
			(SELECT min(tstamp) FROM goose_db_version) AT TIME ZONE 'UTC'))`,
	},
}

func newBacklogCollector(pool *pgxpool.Pool) *backlogCollector {
	c := &backlogCollector{pool: pool}
	for _, b := range backlogs {
		c.descs = append(c.descs, prometheus.NewDesc(b.name, b.help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *backlogCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector. Without an answer of the database the
// gauges are absent, rather than wrong.
func (c *backlogCollector) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) >= backlogEvery {
		c.values, c.asked = c.ask(), time.Now()
	}
	for i, v := range c.values {
		to <- prometheus.MustNewConstMetric(c.descs[i], prometheus.GaugeValue, v)
	}
}

func (c *backlogCollector) ask() []float64 {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	values := make([]float64, len(backlogs))
	for i, b := range backlogs {
		if err := c.pool.QueryRow(ctx, `SELECT (`+b.sql+`)::double precision`).Scan(&values[i]); err != nil {
			return nil
		}
	}
	return values
}
