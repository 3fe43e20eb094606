package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// throughPooler sends the pool's connections through a connection pooler in
// transaction mode, such as PgBouncer, where what belongs to a session does not
// last beyond a transaction: no named prepared statement, no session lock, no
// LISTEN. The pool's Config().ConnConfig stays that of the server itself: who
// needs a session (migrations, elections) opens a connection of its own from it.
func throughPooler(cfg *pgxpool.Config, url string) error {
	url, err := socketHostToQuery(url)
	if err != nil {
		return err
	}
	via, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("pg: pooler URL: %w", err)
	}
	cfg.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		cc.Host, cc.Port = via.Host, via.Port
		cc.Database, cc.User, cc.Password = via.Database, via.User, via.Password
		cc.TLSConfig, cc.Fallbacks = via.TLSConfig, via.Fallbacks
		cc.DialFunc, cc.LookupFunc, cc.ValidateConnect = via.DialFunc, via.LookupFunc, nil
		// A pooler refuses parameters that it does not keep for each client: the
		// timeouts are then settings of the role (docs/OPERATIONS.md).
		cc.RuntimeParams = map[string]string{
			"application_name": cc.RuntimeParams["application_name"],
			"timezone":         cc.RuntimeParams["timezone"],
		}
		// Statements are described once and sent unnamed ever after.
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		return nil
	}
	return nil
}
