package pg_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

func TestOpenSetsTheSessionAndLetsTheURLWin(t *testing.T) {
	t.Parallel()
	base := pgtest.EmptyURL(t)
	tests := []struct{ query, setting, want string }{
		{"", "application_name", "irthub"},
		{"", "timezone", "UTC"},
		{"", "statement_timeout", "30s"},
		{"", "lock_timeout", "10s"},
		{"", "idle_in_transaction_session_timeout", "1min"},
		{"&application_name=import", "application_name", "import"},
		{"&statement_timeout=5s", "statement_timeout", "5s"},
	}
	for _, tt := range tests {
		pool := pgtest.Open(t, base+tt.query)
		var got string
		if err := pool.QueryRow(t.Context(), "SELECT current_setting($1)", tt.setting).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != tt.want {
			t.Errorf("with %q: %s is %s, want %s", tt.query, tt.setting, got, tt.want)
		}
	}
}

func TestOpenBoundsThePool(t *testing.T) {
	t.Parallel()
	base := pgtest.EmptyURL(t)
	tests := []struct {
		query    string
		o        pg.Options
		min, max int32
	}{
		{"", pg.Options{}, 8, 16},
		{"&pool_max_conns=3", pg.Options{}, 3, 3},
		{"&pool_max_conns=3", pg.Options{MaxConns: 5}, 5, 5},
	}
	for _, tt := range tests {
		pool, err := pg.Open(t.Context(), base+tt.query, tt.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := pool.Config().MaxConns; got < tt.min || got > tt.max {
			t.Errorf("%q %+v: %d connections, want %d to %d", tt.query, tt.o, got, tt.min, tt.max)
		}
		pool.Close()
	}
}

func TestTimesComeOutInUTC(t *testing.T) {
	t.Parallel()
	pool := pgtest.Open(t, pgtest.EmptyURL(t))
	var got time.Time
	if err := pool.QueryRow(t.Context(), "SELECT timestamptz '2026-07-01 12:00+01'").Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got.Location() != time.UTC || got.Hour() != 11 {
		t.Errorf("got %v, want 11:00 UTC", got)
	}
}

func TestSocketDirectoryInTheHostsPlace(t *testing.T) {
	tests := []struct{ in, want string }{
		{"postgres://irthub@%2Fvar%2Frun%2Fpg/db", "postgres://irthub@/db?host=%2Fvar%2Frun%2Fpg"},
		{"postgresql://u:p@%2frun:5433/db?sslmode=disable", "postgresql://u:p@/db?host=%2Frun&port=5433&sslmode=disable"},
		{"postgres://%2Frun", "postgres://?host=%2Frun"},
		{"postgres://%2Frun?dbname=x", "postgres://?host=%2Frun&dbname=x"},
		{"postgres://u@db.example:5432/x%2Fy", "postgres://u@db.example:5432/x%2Fy"},
		{"host=/run dbname=x", "host=/run dbname=x"},
		{"", ""},
	}
	for _, tt := range tests {
		got, err := pg.SocketHostToQuery(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
	if _, err := pg.SocketHostToQuery("postgres://u@%2Frun%zz/db"); err == nil {
		t.Error("a bad escape was taken")
	}
}

func TestOpenTakesEveryFormOfSocketAddress(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(pgtest.EmptyURL(t))
	if err != nil {
		t.Fatal(err)
	}
	dir, db := u.Query().Get("host"), strings.TrimPrefix(u.Path, "/")
	if !filepath.IsAbs(dir) {
		t.Skip("the test server has no socket")
	}
	for _, address := range []string{
		"postgres://irthub@/" + db + "?host=" + url.QueryEscape(dir),
		"postgres://irthub@" + url.QueryEscape(dir) + "/" + db,
		"host=" + dir + " user=irthub dbname=" + db,
	} {
		pool, err := pg.Open(t.Context(), address, pg.Options{})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		pool.Close()
	}
}

func TestOpenErrorsHideThePassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://u:s3cret@127.0.0.1:1/db?connect_timeout=1",
		"postgres://u:s3cret@127.0.0.1:notaport/db",
		"postgres://u:s3cret@%2Frun%zz/db",
		"postgres://u:s3cret@/db?sslmode=nonsense",
	} {
		_, err := pg.Open(t.Context(), address, pg.Options{})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error must be there and hide the password: %v", err)
		}
	}
}

// FuzzSocketHostToQuery holds that any socket directory, percent-encoded in
// the host's place, is the directory the pool then dials.
func FuzzSocketHostToQuery(f *testing.F) {
	f.Add("/run/postgresql", "irthub")
	f.Add("/tmp/a b&c=?#%", "d")
	f.Fuzz(func(t *testing.T, dir, db string) {
		_, _ = pg.SocketHostToQuery(dir) // whatever it is: no panic
		_, _ = pg.SocketHostToQuery("postgres://" + dir + "/" + db)
		if strings.ContainsAny(dir, ",\x00") { // a list of hosts; no path
			return
		}
		dir = "/" + dir
		host := strings.ReplaceAll(url.QueryEscape(dir), "+", "%20")
		got, err := pg.SocketHostToQuery("postgres://u@" + host + "/" + url.PathEscape(db))
		if err != nil {
			t.Fatalf("%q: %v", dir, err)
		}
		cfg, err := pgxpool.ParseConfig(got)
		if err != nil {
			t.Skip("pgx refuses the rest of the URL")
		}
		if cfg.ConnConfig.Host != dir {
			t.Errorf("dials %q, want %q", cfg.ConnConfig.Host, dir)
		}
	})
}
