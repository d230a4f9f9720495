package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
)

// Variable is a CI/CD variable of a project in one of its scopes.
type Variable struct {
	Key, Value string
	Scope      string // of environments: *, a name, or one with * in it
	File       bool   // jobs are given it as a file
	Protected  bool   // it is for protected branches and tags only
	Hidden     bool   // GitLab never shows its value again
}

const (
	// VariablesPerPage is how many variables a page has, at most; it is GitLab's
	// limit.
	VariablesPerPage = 100
	// MaxVariablePages bounds how many variables of a project are looked through.
	MaxVariablePages = 20
	// maxVariables bounds a page of variables in bytes: a value may have 10,000
	// characters.
	maxVariables = 8 << 20
	// maxScope bounds a scope in bytes; GitLab takes 255 characters.
	maxScope = 4 * 255
)

// Variables are the CI/CD variables of a project that have one of these names, in
// all of their scopes. The token needs the role Maintainer: without it the error
// wraps ErrRefused. No error holds a value.
func (c *Client) Variables(ctx context.Context, accessToken, project string, names []string) ([]Variable, error) {
	var found []Variable
	for page := 1; ; page++ {
		if page > MaxVariablePages {
			return nil, fmt.Errorf("the project has more than %d variables, which are too many to look through", MaxVariablePages*VariablesPerPage)
		}
		q := url.Values{"per_page": {strconv.Itoa(VariablesPerPage)}, "page": {strconv.Itoa(page)}}
		a, err := c.repository(ctx, accessToken, projectPath(project)+"/variables?"+q.Encode(), "", maxVariables)
		switch {
		case err != nil:
			return nil, err
		case a == nil:
			return nil, errors.New("GitLab answers 304 to a question without a condition")
		}
		if found, err = a.variables(names, found); err != nil {
			return nil, err
		}
		if a.header.Get("X-Next-Page") == "" {
			return found, nil
		}
	}
}

// variables appends to found what an answer has of these names.
func (a *answer) variables(names []string, found []Variable) ([]Variable, error) {
	var list []struct {
		Key       string  `json:"key"`
		Value     *string `json:"value"` // null if it is hidden
		Type      string  `json:"variable_type"`
		Scope     *string `json:"environment_scope"`
		Protected bool    `json:"protected"`
		Hidden    bool    `json:"hidden"`
	}
	if err := a.asJSON(&list); err != nil {
		return nil, err
	}
	if list == nil || len(list) > VariablesPerPage {
		return nil, fmt.Errorf("GitLab's answer is no page of at most %d variables", VariablesPerPage)
	}
	for _, v := range list {
		if !slices.Contains(names, v.Key) {
			continue
		}
		next := Variable{Key: v.Key, Scope: "*", Protected: v.Protected, Hidden: v.Hidden || v.Value == nil}
		switch v.Type {
		case "env_var":
		case "file":
			next.File = true
		default:
			return nil, fmt.Errorf("GitLab says nothing that is known of the type of variable %s", v.Key)
		}
		if v.Scope != nil {
			next.Scope = *v.Scope
		}
		if len(next.Scope) > maxScope {
			return nil, fmt.Errorf("GitLab says nothing that is known of the environments of variable %s", v.Key)
		}
		if !next.Hidden {
			next.Value = *v.Value
		}
		if slices.ContainsFunc(found, func(o Variable) bool { return o.Key == next.Key && o.Scope == next.Scope }) {
			return nil, fmt.Errorf("GitLab has variable %s twice for the same environments", v.Key)
		}
		found = append(found, next)
	}
	return found, nil
}

// Protected says whether a branch or a tag of a project is protected. One that is
// missing is an error that wraps ErrNoFile.
func (c *Client) Protected(ctx context.Context, accessToken, project, name string, tag bool) (bool, error) {
	kind := "branches"
	if tag {
		kind = "tags"
	}
	a, err := c.repository(ctx, accessToken, projectPath(project)+"/repository/"+kind+"/"+url.PathEscape(name), "", 0)
	switch {
	case err != nil:
		return false, err
	case a == nil:
		return false, errors.New("GitLab answers 304 to a question without a condition")
	}
	var v struct {
		Name      string `json:"name"`
		Protected bool   `json:"protected"`
	}
	if err := a.asJSON(&v); err != nil {
		return false, err
	}
	return v.Name == name && v.Protected, nil
}
