package identity

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	// keysFresh is how long a fetched key set is good enough, also for a token whose
	// key it lacks: forged tokens with made-up key ids must not make the hub ask its
	// issuer without end. So a new key is accepted at most this much after it appears.
	keysFresh = 5 * time.Second
	// keysStale is how long keys are used without asking the issuer whether they
	// still are its own: with cacheFor it bounds the life of a withdrawn key.
	keysStale = time.Minute
	// keysDead is how long they are used while the issuer cannot be reached.
	keysDead = 15 * time.Minute
	// retryAfter is how long a failed attempt to reach an issuer is not repeated.
	retryAfter = 2 * time.Second
	// rediscover is how long the issuer's configuration is believed.
	rediscover = time.Hour

	fetchTimeout = 5 * time.Second
	maxKeys      = 100
	minRSABits   = 2048
	// maxAnswer bounds an issuer's answer, in bytes.
	maxAnswer = 1 << 20
)

var errSignature = errors.New("identity: no key of the issuer made this signature")

// lostError says that the issuer's keys could not be had.
type lostError struct{ cause error }

func (e *lostError) Error() string { return e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// keySet is the keys of one issuer. It is discovered when its first token comes, so
// that a hub starts while its issuer is down.
type keySet struct {
	issuer string
	client *http.Client
	now    func() time.Time

	mu         sync.Mutex // held while the issuer is asked: who waits needs the answer
	url        string
	discovered time.Time
	keys       []jose.JSONWebKey
	fetched    time.Time // when keys were had
	failed     error     // of the last attempt
	failedAt   time.Time
}

// verify returns the payload if one of the issuer's keys made the signature.
func (k *keySet) verify(ctx context.Context, signed *jose.JSONWebSignature) ([]byte, error) {
	header := signed.Signatures[0].Header
	keys, err := k.present(ctx, func(have []jose.JSONWebKey) bool { return len(fitting(have, header)) > 0 })
	if err != nil {
		return nil, err
	}
	for _, key := range fitting(keys, header) {
		if payload, err := signed.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}

// fitting are the keys that a header may mean: of its id, where it has one, and for
// its algorithm, where they say so.
func fitting(keys []jose.JSONWebKey, header jose.Header) []jose.JSONWebKey {
	var out []jose.JSONWebKey
	for _, key := range keys {
		if (header.KeyID == "" || key.KeyID == header.KeyID) && (key.Algorithm == "" || key.Algorithm == header.Algorithm) {
			out = append(out, key)
		}
	}
	return out
}

// present returns the issuer's keys, asking it where those at hand are not enough
// or have not been confirmed for a while.
func (k *keySet) present(ctx context.Context, enough func([]jose.JSONWebKey) bool) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	has := !k.fetched.IsZero() && now.Sub(k.fetched) < keysDead
	suffices := has && enough(k.keys)
	age := now.Sub(k.fetched)
	if has && (age < keysFresh || suffices && age < keysStale) {
		return k.keys, nil
	}
	err := k.failed
	if err == nil || now.Sub(k.failedAt) >= retryAfter {
		err = k.refetch(ctx)
	}
	if err != nil && !suffices {
		return nil, &lostError{err}
	}
	return k.keys, nil
}

// refetch asks the issuer, for everybody: the call that needs it may be given up.
func (k *keySet) refetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*fetchTimeout)
	defer cancel()
	keys, err := k.fetch(ctx)
	if err != nil {
		k.failed, k.failedAt = err, k.now()
		k.discovered = time.Time{} // it may have moved its keys
		return err
	}
	k.keys, k.fetched, k.failed = keys, k.now(), nil
	return nil
}

func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	if k.discovered.IsZero() || k.now().Sub(k.discovered) > rediscover {
		if err := k.discover(ctx); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("identity: fetching the keys of %s: %w", k.issuer, err)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("identity: fetching the keys of %s: %w", k.issuer, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("identity: fetching the keys of %s: %w", k.issuer, err)
	}
	return readKeys(body)
}

// discover reads where the issuer keeps its keys (OpenID Connect Discovery).
func (k *keySet) discover(ctx context.Context) error {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	if err != nil {
		return fmt.Errorf("identity: discovering the issuer %s: %w", k.issuer, err)
	}
	var config struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&config); err != nil {
		return fmt.Errorf("identity: the configuration of the issuer %s: %w", k.issuer, err)
	}
	u, err := url.Parse(config.KeysURL)
	if err != nil || u.Host == "" || !reachedSafely(u) {
		return fmt.Errorf("identity: the issuer %s names no jwks_uri that is reached by https", k.issuer)
	}
	k.url, k.discovered = config.KeysURL, k.now()
	return nil
}

// readKeys reads a key set (RFC 7517), leaving out what signs nothing here: keys
// for encryption, secrets, kinds that are not known, RSA keys that are too short.
func readKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("identity: the issuer's answer is no key set of at most %d keys", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil || !key.IsPublic() || !key.Valid() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if long, ok := key.Key.(*rsa.PublicKey); ok && long.N.BitLen() < minRSABits {
			continue
		}
		keys = append(keys, key)
	}
	return keys, nil
}
