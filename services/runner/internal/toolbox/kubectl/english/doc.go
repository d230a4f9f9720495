// Package english keeps kubectl's messages in English, whatever the process's
// locale says: it takes the place of kubectl's reading of its translations,
// which every start of a job process would otherwise pay for with some 20 ms
// of CPU before main.
//
// Package kubectl imports it for its effect alone. It must be initialized before
// any package of kubectl's commands; Go does that because its import path sorts
// before theirs and it needs nothing but the package whose hook it sets.
package english
