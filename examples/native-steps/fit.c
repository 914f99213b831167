/* Fits the body mass of penguins to their measures by least squares.
 *
 *     fit DATA.csv MODEL.json
 *
 * Every fifth penguin is held out, for evaluate.js.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUTS 4 /* the intercept and three measures */

static void fail(const char *what, const char *where)
{
    fprintf(stderr, "%s: %s\n", where, what);
    exit(1);
}

/* Gaussian elimination with partial pivoting; the last column becomes the solution. */
static void solve(double a[INPUTS][INPUTS + 1])
{
    for (int column = 0; column < INPUTS; column++) {
        int best = column;
        for (int row = column + 1; row < INPUTS; row++)
            if (fabs(a[row][column]) > fabs(a[best][column]))
                best = row;
        for (int i = 0; i <= INPUTS; i++) {
            double kept = a[column][i];
            a[column][i] = a[best][i];
            a[best][i] = kept;
        }
        for (int row = 0; row < INPUTS; row++) {
            if (row == column)
                continue;
            double factor = a[row][column] / a[column][column];
            for (int i = column; i <= INPUTS; i++)
                a[row][i] -= factor * a[column][i];
        }
    }
    for (int row = 0; row < INPUTS; row++)
        a[row][INPUTS] /= a[row][row];
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("expected DATA.csv and MODEL.json", argv[0]);
    FILE *data = fopen(argv[1], "r");
    if (data == NULL)
        fail("cannot be read", argv[1]);

    double sums[INPUTS][INPUTS + 1] = {{0}};
    char line[256];
    int id, used = 0;
    double x[INPUTS] = {1}, mass;
    while (fgets(line, sizeof line, data) != NULL) {
        if (sscanf(line, "%d,%lf,%lf,%lf,%lf", &id, &x[1], &x[2], &x[3], &mass) != 5 || id % 5 == 0)
            continue;
        used++;
        for (int i = 0; i < INPUTS; i++) {
            for (int j = 0; j < INPUTS; j++)
                sums[i][j] += x[i] * x[j];
            sums[i][INPUTS] += x[i] * mass;
        }
    }
    fclose(data);
    if (used <= INPUTS)
        fail("too few penguins to fit to", argv[1]);
    solve(sums);

    FILE *model = fopen(argv[2], "w");
    if (model == NULL)
        fail("cannot be written", argv[2]);
    fprintf(model,
            "{\"intercept\": %.17g, \"bill_length_mm\": %.17g, \"bill_depth_mm\": %.17g, "
            "\"flipper_length_mm\": %.17g}\n",
            sums[0][INPUTS], sums[1][INPUTS], sums[2][INPUTS], sums[3][INPUTS]);
    printf("fitted to %d penguins\n", used);
    return fclose(model) == 0 ? 0 : 1;
}
