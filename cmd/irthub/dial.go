package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// tokenVariable names the environment variable with the caller's token. A flag
// would show it to every user of the machine.
const tokenVariable = "IRTHUB_TOKEN" //nolint:gosec // the name of the variable, not a token

// clientFlags are the flags of every command that calls a hub. A command embeds
// them and calls dial.
type clientFlags struct {
	Addr      string `placeholder:"HOST:PORT" default:"127.0.0.1:8443" env:"IRTHUB_ADDR" help:"The hub's gRPC address (default: 127.0.0.1:8443)."`
	TokenFile string `placeholder:"FILE" type:"path" help:"File that holds the token; otherwise IRTHUB_TOKEN in the environment does."`
	CAFile    string `name:"ca-file" placeholder:"FILE" type:"path" help:"Certificates to believe, PEM, instead of the system's."`
	Cert      string `placeholder:"FILE" type:"path" help:"Client certificate to present, PEM; it may stand in the place of a token."`
	Key       string `placeholder:"FILE" type:"path" help:"Private key of the client certificate, PEM."`
}

// reconnect is how soon a lost hub is tried again: one that is started anew is back
// in seconds.
var reconnect = backoff.Config{BaseDelay: 500 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}

// dial connects to the hub: in plain text on this machine, with TLS elsewhere or
// where a CA file is given. Every call on the connection carries the token, and
// with the given purpose (such as "DIRECT_CARE"; "" for none) irt-purpose.
func (f *clientFlags) dial(purpose string) (*grpc.ClientConn, error) {
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	transport, err := f.transport()
	if err != nil {
		return nil, err
	}
	var headers []string
	if token != "" {
		headers = append(headers, "authorization", "Bearer "+token)
	}
	if purpose != "" {
		headers = append(headers, "irt-purpose", purpose)
	}
	return grpc.NewClient(f.Addr,
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 5 * time.Second}),
		grpc.WithUserAgent("irthub/"+strings.ReplaceAll(version(), " ", "-")),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(withHeaders(ctx, headers), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(withHeaders(ctx, headers), desc, cc, method, opts...)
		}),
	)
}

// dialAnonymous connects to the hub for what needs no token.
func (f *clientFlags) dialAnonymous() (*grpc.ClientConn, error) {
	transport, err := f.transport()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(f.Addr, grpc.WithTransportCredentials(transport))
}

// withPurpose states a purpose for one call.
func withPurpose(ctx context.Context, purpose string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "irt-purpose", purpose)
}

// withHeaders adds the headers of the connection, unless the call has an
// authorization of its own.
func withHeaders(ctx context.Context, headers []string) context.Context {
	if own, ok := metadata.FromOutgoingContext(ctx); ok && len(own.Get("authorization")) > 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, headers...)
}

// token reads the token from the file or the environment; "" where a certificate
// is to do.
func (f *clientFlags) token() (string, error) {
	if f.TokenFile != "" {
		b, err := os.ReadFile(f.TokenFile)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	if token := strings.TrimSpace(os.Getenv(tokenVariable)); token != "" {
		return token, nil
	}
	if f.Cert != "" {
		return "", nil
	}
	return "", usage(errors.New("a token is needed: set IRTHUB_TOKEN or give --token-file; irthub token prints one"))
}

// transport is plain text for this machine, TLS for any other.
func (f *clientFlags) transport() (credentials.TransportCredentials, error) {
	host, _, err := net.SplitHostPort(f.Addr)
	if err != nil {
		return nil, usage(fmt.Errorf("--addr %q: it has the form HOST:PORT", f.Addr))
	}
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	if (f.Cert == "") != (f.Key == "") {
		return nil, usage(errors.New("--cert and --key go together: give both or neither"))
	}
	if local && f.CAFile == "" && f.Cert == "" {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CAFile != "" {
		pem, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the certificates: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", f.CAFile)
		}
	}
	if f.Cert != "" {
		cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return credentials.NewTLS(config), nil
}
