package mapping_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/mapping"
)

// TestReadme runs every fenced block of README.md. A block's second word says what it is; what it needs comes before it.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```\\w+ (\\w+)\n(.*?)\n```$").FindAllStringSubmatch(string(text), -1)
	page := readmePage{t: t}
	for _, block := range blocks {
		page.run(block[1], block[2])
	}
	if len(blocks) < 40 || strings.Count(string(text), "```") != 2*len(blocks) {
		t.Errorf("ran %d blocks, want every block of the page", len(blocks))
	}
}

type readmePage struct {
	t       *testing.T
	before  string
	lines   []mapping.Rule
	rules   *mapping.Mapping
	refusal error
}

func (p *readmePage) run(kind, text string) {
	p.t.Helper()
	switch kind {
	case "before":
		p.before = text
	case "lines":
		p.lines = p.parseLines(text)
	case "rules":
		p.rules = p.compile(text)
	case "refused":
		_, p.refusal = mapping.ParseRules([]byte(text))
	case "after":
		after, err := p.rules.Apply([]byte(p.before), 0)
		p.compare("after", string(after), text, err)
	case "warnings":
		_, warnings := p.rules.Explain([]byte(p.before))
		got, err := json.Marshal(warnings)
		p.compare("warnings", string(got), text, err)
	case "error":
		if p.refusal == nil || p.refusal.Error() != text {
			p.t.Errorf("got refusal %v\nwant %s", p.refusal, text)
		}
	default:
		p.t.Errorf("no test runs blocks of kind %q", kind)
	}
}

func (p *readmePage) parseLines(text string) (rules []mapping.Rule) {
	for line := range strings.Lines(text) {
		rule, err := mapping.ParseLine(strings.TrimSuffix(line, "\n"))
		if err != nil {
			p.t.Error(err)
		}
		rules = append(rules, rule)
	}
	return rules
}

func (p *readmePage) compile(text string) *mapping.Mapping {
	rules, err := mapping.ParseRules([]byte(text))
	if err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	if p.lines != nil {
		if diff := cmp.Diff(rules, p.lines); diff != "" {
			p.t.Errorf("the lines are other rules than those shown (-shown +lines):\n%s", diff)
		}
		p.lines = nil
	}
	m, err := mapping.Compile(rules)
	if err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	return m
}

func (p *readmePage) compare(what, got, want string, err error) {
	p.t.Helper()
	if err != nil || got != want {
		p.t.Errorf("%s of %s\ngot  %s, %v\nwant %s", what, p.before, got, err, want)
	}
}
