// A cohort with Nextflow: one task a sample, then the summary.
// nextflow run main.nf --sheet sheet.csv --out results --options '--encoder texture'
params.sheet = 'sheet.csv'
params.out = 'results'
params.options = ''

process section {
    tag sample

    input:
    tuple val(sample), path(sheet)

    output:
    val sample

    script:
    """
    histosge cohort "${file(params.sheet).toAbsolutePath()}" --out "${file(params.out).toAbsolutePath()}" ${params.options} --only "${sample}" --part
    """
}

process summary {
    input:
    val samples

    script:
    """
    histosge cohort "${file(params.sheet).toAbsolutePath()}" --out "${file(params.out).toAbsolutePath()}" ${params.options}
    """
}

workflow {
    rows = Channel.fromPath(params.sheet).splitCsv(header: true).map { row -> tuple(row.sample, file(params.sheet)) }
    section(rows).collect() | summary
}
