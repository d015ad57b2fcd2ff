package appengine

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
)

const (
	defaultServer = "127.0.0.1:8080"
	defaultPort   = 8080
)

// Options say where the server is and who calls it. What is empty comes from the environment, then
// from the defaults.
type Options struct {
	// Server is HOST:PORT, http://… or https://…; APPENGINE_SERVER, or 127.0.0.1:8080. TLS is used
	// with https, and whenever there is a CAFile.
	Server string
	// Token goes with every call; APPENGINE_TOKEN, or what the file APPENGINE_TOKEN_FILE holds.
	Token string
	// CAFile is a PEM file with the authority of the server's certificate; APPENGINE_CA_FILE.
	CAFile string
	// Project is where tasks and runs are made and looked for; APPENGINE_PROJECT, or the caller's
	// default one.
	Project string
}

// settings are options that are complete and can be used.
type settings struct {
	target  string // host:port
	tls     bool
	token   string
	ca      []byte
	project string
}

func readSettings(options Options) (settings, error) {
	given := func(value, variable string) string {
		if value == "" {
			return os.Getenv(variable)
		}
		return value
	}
	server := given(options.Server, "APPENGINE_SERVER")
	if server == "" {
		server = defaultServer
	}
	target, tls, err := parseAddress(server)
	if err != nil {
		return settings{}, err
	}
	found := settings{
		target:  target,
		tls:     tls,
		token:   strings.TrimSpace(given(options.Token, "APPENGINE_TOKEN")),
		project: given(options.Project, "APPENGINE_PROJECT"),
	}
	if path := given(options.CAFile, "APPENGINE_CA_FILE"); path != "" {
		if found.ca, err = os.ReadFile(path); err != nil {
			return settings{}, fmt.Errorf("the CA certificate cannot be read: %w", err)
		}
		found.tls = true
	}
	if path := os.Getenv("APPENGINE_TOKEN_FILE"); found.token == "" && path != "" {
		token, err := os.ReadFile(path)
		if err != nil {
			return settings{}, fmt.Errorf("the token cannot be read: %w", err)
		}
		found.token = strings.TrimSpace(string(token))
	}
	if !isSendable(found.token) {
		return settings{}, fmt.Errorf("the token must be one word, on one line")
	}
	return found, nil
}

// parseAddress answers host:port, and whether TLS is used. A path behind the port is ignored.
func parseAddress(address string) (string, bool, error) {
	text := strings.TrimSpace(address)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Hostname() == "" {
		return "", false, fmt.Errorf("the server address %q names no host: use HOST:PORT", address)
	}
	tls, port := false, defaultPort
	switch parsed.Scheme {
	case "http", "grpc":
	case "https", "grpcs":
		tls, port = true, 443
	default:
		return "", false, fmt.Errorf(
			"the server address %q has the unknown scheme %q: use HOST:PORT, http://HOST:PORT or https://HOST:PORT",
			address, parsed.Scheme)
	}
	if parsed.Port() == "" {
		return parsed.Host + ":" + strconv.Itoa(port), tls, nil
	}
	if number, err := strconv.Atoi(parsed.Port()); err != nil || number < 1 || number > 65535 {
		return "", false, fmt.Errorf(
			"the server address %q has the port %q: use a number from 1 to 65535", address, parsed.Port())
	}
	return parsed.Host, tls, nil
}

func (s settings) isLoopback() bool {
	for _, start := range []string{"127.", "localhost", "[::1]"} {
		if strings.HasPrefix(s.target, start) {
			return true
		}
	}
	return false
}

func isSendable(token string) bool {
	for _, letter := range token {
		if letter <= ' ' || letter > '~' {
			return false
		}
	}
	return true
}
