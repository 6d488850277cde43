/* SPDX-License-Identifier: Apache-2.0 */
/* Which rank a connection belongs to: open addressing, at most half full (a rank has one). */
#include "engine/engine_state.h"

static size_t home(const weft_engine *e, uint32_t conn)
{
    return (conn * UINT32_C(2654435761)) & (e->conn_cells - 1);
}

weft_peer *weft_conn_peer(weft_engine *e, uint32_t conn)
{
    for (size_t i = home(e, conn); e->conns[i].conn != 0; i = (i + 1) & (e->conn_cells - 1)) {
        if (e->conns[i].conn == conn) {
            return &e->peers[e->conns[i].rank];
        }
    }
    return NULL;
}

void weft_conn_bind(weft_engine *e, uint32_t conn, int rank)
{
    size_t i = home(e, conn);
    while (e->conns[i].conn != 0) {
        i = (i + 1) & (e->conn_cells - 1);
    }
    e->conns[i] = (weft_conn_cell){.conn = conn, .rank = rank};
}

void weft_conn_unbind(weft_engine *e, uint32_t conn)
{
    const size_t mask = e->conn_cells - 1;
    size_t hole = home(e, conn);
    while (e->conns[hole].conn != conn) {
        if (e->conns[hole].conn == 0) {
            return;
        }
        hole = (hole + 1) & mask;
    }
    /* Close the gap: move back what could not have been found across it. */
    for (size_t i = (hole + 1) & mask; e->conns[i].conn != 0; i = (i + 1) & mask) {
        const size_t want = home(e, e->conns[i].conn);
        if (((i - want) & mask) >= ((i - hole) & mask)) {
            e->conns[hole] = e->conns[i];
            hole = i;
        }
    }
    e->conns[hole].conn = 0;
}
